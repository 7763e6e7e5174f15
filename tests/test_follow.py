import math
from dataclasses import replace

import pytest
import torch
from pack.vexpress.follow import Rest, follow
from pack.vexpress.kps import Kps
from pack.vexpress.pose import FULLY, Motion
from pack.vexpress.retarget import retarget
from pack.vexpress.timing import smoothed

PORTRAIT = torch.tensor([[200.0, 220.0], [312.0, 226.0], [262.0, 290.0]])
OTHER = torch.tensor([[71.0, 60.0], [129.0, 57.0], [103.0, 92.0]])
NOTHING = Motion(0.0, 0.0, 0.0, 0.0)
TWICE = Motion(2.0, 2.0, 2.0, 2.0)


def similar(face, angle=0.0, scale=1.0, shift=(0.0, 0.0)):
    """Turned by degrees and enlarged about the middle of the eyes, then shifted by pixels."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    middle = face[..., :2, :].mean(-2, keepdim=True)
    rotation = torch.tensor([[cos, sin], [-sin, cos]])
    return (face - middle) @ rotation * scale + middle + torch.tensor(shift)


def lively(face, frames=40):
    """Every part of the movement at once, the nose too, from `face` on."""
    time = torch.arange(frames) / 9
    track = [
        similar(
            face, 12 * math.sin(t), 1 + 0.1 * math.sin(2 * t), (20 * math.sin(t), 9 - 9 * math.cos(3 * t))
        )
        for t in time.tolist()
    ]
    track = torch.stack(track)
    track[:, 2] += torch.stack([9 * torch.sin(time), 5 * torch.sin(1.7 * time)], 1)
    return track


def mirrored(points, width=512):
    return (torch.tensor([float(width), 0.0]) + points * torch.tensor([-1.0, 1.0]))[..., [1, 0, 2], :]


def close(a, b, pixels=1e-3):
    return torch.allclose(a, b.expand_as(a), rtol=0, atol=pixels)


@pytest.mark.parametrize("frame", [0, 7, 39])
def test_a_portrait_that_is_a_driving_frame_gets_the_driving_track(frame):
    track = lively(OTHER)
    assert close(follow(track[frame], track, Rest.PORTRAIT), track, 1e-4)


def test_the_first_frame_as_rest_starts_at_the_portraits_pose():
    assert close(follow(PORTRAIT, lively(OTHER), Rest.FIRST)[0], PORTRAIT)


def test_the_middle_of_the_movement_as_rest_puts_as_much_before_the_portrait_as_behind():
    track = torch.stack([similar(OTHER, angle, shift=(angle, 0.0)) for angle in (0.0, 1.0, 2.0, 10.0, 30.0)])
    result = follow(OTHER, track, Rest.MIDDLE)
    assert close(result[2], OTHER)
    assert close(result[4], similar(OTHER, 28.0, shift=(28.0, 0.0)))


def test_a_known_movement_of_one_face_is_that_movement_of_another():
    moves = [(0, 1, (0, 0)), (5, 1.1, (4, -2)), (-8, 0.95, (10, 6)), (15, 1.2, (-9, 3))]
    size = (PORTRAIT[1] - PORTRAIT[0]).norm() / (OTHER[1] - OTHER[0]).norm()
    track = torch.stack([similar(OTHER, *move) for move in moves])
    expected = [similar(PORTRAIT, angle, scale, [size * s for s in shift]) for angle, scale, shift in moves]
    assert close(follow(PORTRAIT, track, Rest.FIRST), torch.stack(expected), pixels=1)


def test_no_amount_of_movement_is_the_portrait():
    assert close(follow(PORTRAIT, lively(OTHER), amounts=NOTHING), PORTRAIT)


def test_a_still_driver_leaves_the_face_alone():
    assert close(follow(PORTRAIT, OTHER.repeat(5, 1, 1)), PORTRAIT)


@pytest.mark.parametrize("rest", Rest)
def test_the_size_of_the_driving_video_does_not_matter(rest):
    track = lively(OTHER)
    assert close(follow(PORTRAIT, track * 3, rest), follow(PORTRAIT, track, rest))


@pytest.mark.parametrize("rest", Rest)
def test_mirroring_both_faces_mirrors_the_result(rest):
    track = lively(OTHER)
    assert close(follow(mirrored(PORTRAIT), mirrored(track), rest), mirrored(follow(PORTRAIT, track, rest)))


@pytest.mark.parametrize("rest", [Rest.PORTRAIT, Rest.FIRST])
@pytest.mark.parametrize("angle", [90, 180])
def test_rotating_both_pictures_rotates_the_result(rest, angle):
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turn = torch.tensor([[cos, sin], [-sin, cos]])
    track = lively(OTHER)
    assert close(follow(PORTRAIT @ turn, track @ turn, rest), follow(PORTRAIT, track, rest) @ turn)


def test_amounts_of_two_double_angle_logarithm_of_scale_and_shift():
    track = torch.stack([OTHER, similar(OTHER, 7, 1.2, (5.0, 3.0))])
    assert close(follow(OTHER, track, Rest.FIRST, TWICE)[1], similar(OTHER, 14, 1.2**2, (10.0, 6.0)))


@pytest.mark.parametrize(
    "part, expected",
    [
        ("translation", similar(OTHER, shift=(5.0, 3.0))),
        ("rotation", similar(OTHER, angle=7)),
        ("scale", similar(OTHER, scale=1.2)),
        ("turn", OTHER),
    ],
)
def test_each_amount_is_for_its_own_part(part, expected):
    track = torch.stack([OTHER, similar(OTHER, 7, 1.2, (5.0, 3.0))])
    assert close(follow(OTHER, track, Rest.FIRST, NOTHING._replace(**{part: 1.0}))[1], expected)


def test_a_head_turned_aside_does_not_become_smaller():
    """A nose that stands out by 1/sqrt(2) of the eye distance, turned by 30 degrees."""
    cos, sin = math.cos(math.radians(30)), math.sin(math.radians(30))
    front = torch.tensor([[-50.0, 0.0], [50.0, 0.0], [0.0, 60.0]])
    aside = torch.tensor([[-50.0 * cos, 0.0], [50.0 * cos, 0.0], [100 * sin / math.sqrt(2), 60.0 * cos]])
    track = torch.stack([front, aside])
    assert close(follow(front, track, Rest.FIRST, FULLY._replace(turn=0.0)), front)
    assert close(follow(front, track, Rest.FIRST, FULLY._replace(scale=0.0)), track)


def test_a_head_upside_down_turns_on_without_a_jump():
    track = torch.stack([similar(OTHER, angle) for angle in range(0, 361, 10)])
    result = follow(PORTRAIT, track, Rest.FIRST, FULLY._replace(rotation=0.5))
    assert close(result[-1], similar(PORTRAIT, 180))


@pytest.mark.parametrize("face, track, name", [(0, 1, "reference"), (1, 0, "driving")])
def test_a_face_with_both_eyes_at_one_point_is_refused(face, track, name):
    faces = [torch.tensor([[5.0, 5.0], [5.0, 5.0], [9.0, 9.0]]), OTHER]
    with pytest.raises(ValueError, match=f"Frame 0 of the {name} V-Kps has both eyes at one point"):
        follow(faces[face], faces[track][None])


def test_retargeting_follows_the_smoothed_track():
    driving = Kps(lively(OTHER) + torch.tensor([1.0, -1.0]).repeat(20)[:, None, None], 256, 256)
    reference = Kps(PORTRAIT[None], 512, 512)
    smooth = retarget(reference, driving, smoothing=7)
    assert torch.equal(smooth.points, follow(PORTRAIT, smoothed(driving, 7).points))
    assert torch.equal(smooth.points, retarget(reference, driving, smoothing=6).points)
    assert not torch.equal(smooth.points, retarget(reference, replace(driving), smoothing=0).points)
