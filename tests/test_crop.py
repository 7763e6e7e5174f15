import pytest
import torch
from pack.vexpress.crop import (
    Placement,
    cut,
    feather_weights,
    kps_in_crop,
    match_colour,
    paste,
    place,
)
from pack.vexpress.kps import Kps

# As the training clips show a face in 512 x 512 pixels.
TRAINED = torch.tensor([[200.0, 212.0], [315.0, 212.0], [257.5, 275.5]])


def face(points=TRAINED, width=512, height=512, frames=1):
    return Kps(points.expand(frames, 3, 2), width, height)


def numbered(width, height):
    """Pixel (x, y) is 100 y + x: one picture (1, H, W, 1)."""
    return (100 * torch.arange(height)[:, None] + torch.arange(width))[None, ..., None]


def round_trip(picture, placement, feather):
    image = placement.in_picture(cut(picture[None], placement)[0])
    return paste(picture, image, feather_weights(placement, feather), placement)


def test_a_face_as_in_training_is_the_whole_picture():
    placement = place(face(), 1.0, 512)
    assert abs(placement.side - 512) <= 1
    assert max(abs(placement.left - 1), abs(placement.top)) <= 1


def test_the_square_follows_the_face():
    small = place(face(TRAINED / 4 + torch.tensor([700.0, 300.0]), 1920, 1080), 1.0, 512)
    assert abs(small.side - 128) <= 1
    assert abs(small.left - 700) <= 1 and abs(small.top - 300) <= 1


def test_margin_widens_the_square_around_the_same_centre():
    one, two = place(face(), 1.0, 512), place(face(), 2.0, 512)
    assert two.side == pytest.approx(2 * one.side, abs=1)
    assert two.left + two.side / 2 == pytest.approx(one.left + one.side / 2, abs=1)
    assert two.top + two.side / 2 == pytest.approx(one.top + one.side / 2, abs=1)


def test_a_lying_head_gets_a_square_of_the_same_size():
    lying = torch.stack([TRAINED[:, 1], 512 - TRAINED[:, 0]], dim=1)
    assert place(face(lying), 1.0, 512).side == place(face(), 1.0, 512).side


def test_a_head_in_profile_is_as_large_as_its_nose_says():
    profile = torch.tensor([[256.0, 200.0], [256.0, 200.0], [196.0, 280.0]])
    assert place(face(profile), 1.0, 512).side == round(1.5 * 100 / 0.225)


def test_of_a_track_the_first_frame_places_the_square():
    track = face(frames=3)
    track = Kps(track.points + 30 * torch.arange(3)[:, None, None], 512, 512)
    assert place(track, 1.0, 512) == place(face(), 1.0, 512)


@pytest.mark.parametrize(
    "points, message",
    [
        (torch.full((3, 2), 7.0), r"all lie at \(7, 7\)"),
        (TRAINED + 5000, r"The face at \(5257.5, 5275.5\) lies outside the picture of 512x512"),
        (TRAINED * 1e3, "asks for a square of .* pixels, and 8192 are the most"),
    ],
)
def test_points_that_are_no_face_in_the_picture_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        place(face(points), 1.0, 512)


@pytest.mark.parametrize(
    "left, top, columns, rows",
    [
        (1, 2, [1, 2, 3], [2, 3, 4]),  # inside
        (-2, -1, [2, 1, 0], [1, 0, 1]),  # beyond the corner
        (4, 3, [4, 3, 2], [3, 4, 3]),
    ],
)
def test_beyond_the_edge_the_picture_is_mirrored(left, top, columns, rows):
    square = cut(numbered(5, 5), Placement(left, top, 3, 5, 5, 8))[0, ..., 0]
    assert square[0].tolist() == [100 * rows[0] + column for column in columns]
    assert square[:, 0].tolist() == [100 * row + columns[0] for row in rows]


def test_a_picture_much_smaller_than_the_square_is_mirrored_again_and_again():
    square = cut(numbered(3, 2), Placement(-5, -3, 10, 3, 2, 8))[0, ..., 0]
    assert (square[3] % 100).tolist() == [1, 0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert (square[:, 5] // 100).tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]


def test_a_picture_of_one_pixel_fills_the_square():
    assert cut(numbered(1, 1) + 9, Placement(-2, -2, 5, 1, 1, 8)).unique().tolist() == [9]


def test_kps_keep_their_place_on_the_face():
    placement = Placement(100, 50, 256, 800, 600, 512)
    kps = kps_in_crop(
        face(torch.tensor([[100.0, 50.0], [356.0, 50.0], [228.0, 178.0]]), 800, 600, 4), placement
    )
    assert (kps.width, kps.height, len(kps)) == (512, 512, 4)
    assert kps.points[3].tolist() == [[0, 0], [512, 0], [256, 256]]


def test_weights_rise_from_the_edges_and_multiply_in_the_corners():
    weights = feather_weights(Placement(2, 2, 8, 20, 20, 8), feather=0.25)[..., 0]  # over two pixels
    outer, inner = (3 * x**2 - 2 * x**3 for x in (0.25, 0.75))
    across = torch.tensor([outer, inner, 1, 1, 1, 1, inner, outer])
    torch.testing.assert_close(weights, across[:, None] * across)


def test_edges_on_or_beyond_the_border_are_not_feathered():
    weights = feather_weights(Placement(-3, 2, 8, 20, 10, 8), feather=0.25)[..., 0]
    assert weights.shape == (8, 5)
    assert weights[4].tolist()[:3] == [1, 1, 1] and weights[4, -1] < 1  # left is outside, right inside
    assert weights[0, 0] < 1 and weights[-1, 0] == 1  # top is inside, bottom on the border


@pytest.mark.parametrize("placement", [(2, 2, 8, 20, 20), (-5, -5, 30, 20, 20)])
def test_without_feather_or_outside_all_edges_the_whole_square_is_seen(placement):
    feather = 0.0 if placement[0] > 0 else 0.5
    assert feather_weights(Placement(*placement, 8), feather).unique().tolist() == [1]


@pytest.mark.parametrize("feather", [0.0, 0.07, 0.5])
@pytest.mark.parametrize(
    "left, top, side, width, height",
    [(3, 4, 9, 31, 17), (-4, 9, 12, 31, 17), (25, 11, 12, 31, 17), (-9, -9, 50, 31, 17), (0, 0, 1, 1, 1)],
)
def test_an_unchanged_square_goes_back_without_a_trace(left, top, side, width, height, feather):
    picture = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(5))
    assert torch.equal(round_trip(picture, Placement(left, top, side, width, height, side), feather), picture)


def test_outside_the_square_nothing_changes():
    picture, placement = torch.rand(17, 31, 3), Placement(3, 4, 9, 31, 17, 8)
    pasted = paste(picture, torch.ones(9, 9, 3), feather_weights(placement, 0.2), placement)
    changed = (pasted != picture).any(-1)
    assert changed.sum() == 81 and changed[4:13, 3:12].all()


def test_matched_colours_are_those_of_the_picture():
    placement = Placement(10, 10, 40, 80, 80, 40)
    picture = torch.rand(40, 40, 3, generator=torch.Generator().manual_seed(6)) * 0.4 + 0.3
    tinted = picture * torch.tensor([0.8, 1.0, 1.1]) + torch.tensor([0.1, -0.1, 0.02])
    matched = match_colour(tinted, picture, placement)(tinted)
    assert (matched - picture).abs().max() < 0.01


def test_equal_colours_are_left_alone():
    picture = torch.rand(40, 40, 3)
    match = match_colour(picture, picture, Placement(10, 10, 40, 80, 80, 40))
    assert match.gain.tolist() == [1, 1, 1] and match.offset.tolist() == [0, 0, 0]


def test_the_face_in_the_middle_does_not_count_for_the_colours():
    placement, picture = Placement(10, 10, 40, 80, 80, 40), torch.rand(40, 40, 3)
    talking = picture.clone()
    talking[4:-4, 4:-4] = 0
    assert match_colour(talking, picture, placement).gain.tolist() == [1, 1, 1]


def test_contrast_is_not_raised_without_limit():
    picture = torch.rand(40, 40, 3)
    match = match_colour(picture / 100, picture, Placement(10, 10, 40, 80, 80, 40))
    assert match.gain.tolist() == [1.5, 1.5, 1.5]
