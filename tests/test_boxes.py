"""Boxes of lips and eyes, told from a face's few points."""

import pytest
import torch
from pack.vexpress.training.boxes import eye_boxes, lip_boxes
from pack.vexpress.training.speech import babble
from pack.vexpress.training.synthetic import clip

FACE = torch.tensor([[[40.0, 40.0], [60.0, 40.0], [50.0, 52.0]]])


@pytest.mark.parametrize(
    "corners, expected",
    [
        ([[40, 64], [60, 64]], [30, 54, 70, 74]),  # twice a mouth of 20 x 10
        ([[50, 54], [50, 74]], [40, 44, 60, 84]),  # of a head that lies on its side
        ([[60, 64], [40, 64]], [30, 54, 70, 74]),
    ],
)
def test_a_box_is_twice_as_large_as_the_mouth(corners, expected):
    assert lip_boxes(FACE, torch.tensor([corners]).float())[0].tolist() == expected


def test_without_corners_the_mouth_is_below_the_nose_as_far_as_the_nose_is_below_the_eyes():
    left, top, right, bottom = lip_boxes(FACE)[0].tolist()
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((50, 64))
    assert right - left == pytest.approx(2 * 0.83 * 20)


def test_guessed_boxes_cover_the_mouths_of_drawn_people():
    for seed in range(8):
        people = clip(seed, babble(seed, 1.0), 10.0, 128)
        left, top, right, bottom = people.lip_box.unbind(-1)
        box = lip_boxes(people.kps.points)
        across = torch.minimum(right, box[:, 2]) - torch.maximum(left, box[:, 0])
        down = torch.minimum(bottom, box[:, 3]) - torch.maximum(top, box[:, 1])
        covered = across.clamp(min=0) * down.clamp(min=0) / ((right - left) * (bottom - top))
        assert covered.mean() > 0.9, seed


def test_eyes_reach_from_brows_to_cheeks_as_far_as_they_lie_apart():
    assert eye_boxes(FACE)[0].tolist() == [30, 26, 70, 52]
    turned = torch.tensor([[[50.0, 40.0], [50.0, 60.0], [38.0, 50.0]]])
    assert eye_boxes(turned)[0].tolist() == [30, 36, 70, 62]
