from pathlib import Path

import pytest
import torch
from pack.vexpress.kps import Kps
from safetensors.torch import load_file

GOLDEN = load_file(Path(__file__).parent / "golden" / "kps" / "j_kps_interp.safetensors")
FACE = torch.tensor([[200.0, 220.0], [312.0, 220.0], [256.0, 290.0]])


def moving_right(frames, fps=30.0):
    """One pixel a frame."""
    shift = torch.arange(float(frames))[:, None, None] * torch.tensor([1.0, 0.0])
    return Kps(FACE + shift, 512, 512, fps)


def shift_of(kps):
    return (kps.points - FACE)[:, 0, 0].tolist()


def test_points_are_float32_whatever_they_were():
    assert Kps(FACE[None].double(), 512, 512).points.dtype == torch.float32


@pytest.mark.parametrize("shape", [(3, 2), (0, 3, 2), (4, 5, 2), (4, 3, 3)])
def test_points_must_be_three_pairs_a_frame(shape):
    with pytest.raises(ValueError, match="not \\(frames, 3, 2\\)"):
        Kps(torch.zeros(shape), 512, 512)


def test_a_point_that_is_not_a_number_is_refused_with_its_frame():
    points = FACE.repeat(4, 1, 1)
    points[2, 1, 0] = float("nan")
    with pytest.raises(ValueError, match="Frame 2 .* not a finite number"):
        Kps(points, 512, 512)


@pytest.mark.parametrize("width, height, fps", [(0, 512, 30.0), (512, -1, 30.0), (512, 512, 0.0)])
def test_a_picture_without_size_or_frame_rate_is_refused(width, height, fps):
    with pytest.raises(ValueError, match="V-Kps need"):
        Kps(FACE[None], width, height, fps)


def test_scaling_keeps_the_face_at_its_place_in_the_picture():
    scaled = Kps(FACE[None], 512, 512).scaled(256, 256)
    assert (scaled.width, scaled.height) == (256, 256)
    assert torch.equal(scaled.points, FACE[None] / 2)


def test_scaling_allows_one_percent_of_squash():
    assert Kps(FACE[None], 1000, 1000).scaled(512, 508).points[0, 2].tolist() == pytest.approx(
        [131.072, 147.32]
    )


def test_scaling_to_another_shape_points_to_the_cropping_node():
    with pytest.raises(ValueError, match="V-Kps of 1920x1080 pixels cannot become 512x512.*VExpressCropFace"):
        Kps(FACE[None], 1920, 1080).scaled(512, 512)


def test_one_frame_stands_for_the_whole_clip():
    assert torch.equal(Kps(FACE[None], 512, 512).expanded(5).points, FACE.repeat(5, 1, 1))


def test_a_track_of_another_length_than_the_clip_is_refused():
    assert len(moving_right(7).expanded(7)) == 7
    with pytest.raises(ValueError, match="kps has 7 frames, the clip 9"):
        moving_right(7).expanded(9)


@pytest.mark.parametrize("case", ["10_to_104", "137_to_137", "30_to_64", "50_to_44", "90_to_24"])
def test_interpolation_is_that_of_the_reference(case):
    expected = GOLDEN[f"{case}.result"]
    kps = Kps(GOLDEN[f"{case}.source"], 512, 512).interpolated(len(expected))
    assert torch.allclose(kps.points, expected, rtol=0, atol=1e-4)  # pixels


@pytest.mark.parametrize(
    "length, fps, frames, target_fps, expected",
    [
        (5, 30, 5, 30, [0, 1, 2, 3, 4]),
        (5, 30, 3, 30, [0, 1, 2]),
        (3, 30, 6, 30, [0, 1, 2, 2, 2, 2]),
        (5, 60, 3, 30, [0, 2, 4]),
        (3, 15, 7, 30, [0, 0.5, 1, 1.5, 2, 2, 2]),
        (4, 24, 4, 30, [0, 0.8, 1.6, 2.4]),
    ],
)
def test_resampling_keeps_the_clock(length, fps, frames, target_fps, expected):
    kps = moving_right(length, fps).resampled(frames, target_fps)
    assert kps.fps == target_fps
    assert shift_of(kps) == pytest.approx(expected, abs=1e-4)
