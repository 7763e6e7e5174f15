import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pack.vexpress.kps import Kps
from pack.vexpress.retarget import RetargetStrategy, _closest_frame, _turn, _upstream_frame, bias, retarget
from pack.vexpress.timing import Timing
from safetensors.torch import load_file

FIX_FACE, NO_RETARGET, OFFSET, NAIVE, FOLLOW = RetargetStrategy
GOLDEN = Path(__file__).parent / "golden" / "kps"
TRACKS = {track["file"]: track for track in json.loads((GOLDEN / "i_retarget.json").read_text())}
POINTS = load_file(GOLDEN / "i_retarget.safetensors")

PORTRAIT = Kps(torch.tensor([[[200.0, 220.0], [312.0, 220.0], [256.0, 290.0]]]), 512, 512, detector="a")
# Half as wide and half as high as the portrait's face, frontal, at another place of a smaller picture.
DRIVER = Kps(torch.tensor([[[72.0, 60.0], [128.0, 60.0], [100.0, 95.0]]]), 256, 256, detector="a")


def moved(kps, *shifts):
    """One frame for each (x, y)."""
    return replace(kps, points=kps.points[:1] + torch.tensor(shifts)[:, None])


def golden_tracks(name):
    reference = Kps(POINTS[f"{name}.reference"][None], 512, 512)
    return reference, Kps(POINTS[f"{name}.source"], 512, 512)


@pytest.mark.parametrize("name", TRACKS)
@pytest.mark.parametrize("strategy, result", [(OFFSET, "offset"), (NAIVE, "naive")])
def test_upstream_exact_gives_the_numbers_of_the_reference(name, strategy, result):
    kps = retarget(*golden_tracks(name), strategy, upstream_exact=True)
    assert torch.allclose(kps.points, POINTS[f"{name}.{result}"], rtol=0, atol=2e-4)  # pixels


@pytest.mark.parametrize("name", TRACKS)
def test_the_driving_frame_that_looks_the_same_way_gives_the_size(name):
    reference, driving = golden_tracks(name)
    turn, turns = _turn(reference.points[0]), _turn(driving.points)
    assert _closest_frame(turns, turn) == TRACKS[name]["intended_index"]
    assert _upstream_frame(turns, turn) == TRACKS[name]["upstream_index"]


@pytest.mark.parametrize("strategy", [OFFSET, NAIVE, FOLLOW])
def test_a_still_driver_leaves_the_face_alone(strategy):
    still = moved(DRIVER, *[(0.0, 0.0)] * 4)
    assert torch.allclose(retarget(PORTRAIT, still, strategy).points, PORTRAIT.points.expand(4, 3, 2))


@pytest.mark.parametrize("strategy", [OFFSET, NAIVE, FOLLOW])
def test_the_head_moves_with_the_driver_and_as_far_for_its_size(strategy):
    kps = retarget(PORTRAIT, moved(DRIVER, (0.0, 0.0), (5.0, -2.0)), strategy)
    assert torch.allclose(kps.points, moved(PORTRAIT, (0.0, 0.0), (10.0, -4.0)).points)


def test_upstream_exact_moves_the_other_way_by_half():
    kps = retarget(PORTRAIT, moved(DRIVER, (0.0, 0.0), (5.0, -2.0)), OFFSET, upstream_exact=True)
    assert torch.allclose(kps.points, moved(PORTRAIT, (0.0, 0.0), (-5.0, 2.0)).points)


def test_no_retarget_only_fits_the_picture():
    kps = retarget(PORTRAIT, moved(DRIVER, (0.0, 0.0), (1.0, 0.0)), NO_RETARGET)
    assert torch.equal(kps.points, moved(DRIVER, (0.0, 0.0), (1.0, 0.0)).points * 2)


@pytest.mark.parametrize("strategy", RetargetStrategy)
def test_the_result_has_the_size_of_the_reference(strategy):
    kps = retarget(PORTRAIT, moved(DRIVER, *[(0.0, 0.0)] * 3), strategy, frames=7, fps=25.0)
    assert (len(kps), kps.width, kps.height, kps.fps) == (7, 512, 512, 25.0)


@pytest.mark.parametrize(
    "driving, frames, expected",
    [(None, 0, 1), (None, 9, 9), (moved(DRIVER, (0.0, 0.0), (5.0, 5.0)), 0, 2)],
)
def test_fix_face_repeats_the_first_frame_of_the_reference(driving, frames, expected):
    reference = moved(PORTRAIT, (0.0, 0.0), (9.0, 9.0))
    kps = retarget(reference, driving, FIX_FACE, frames)
    assert torch.equal(kps.points, PORTRAIT.points.expand(expected, 3, 2))


@pytest.mark.parametrize("frames, expected", [(0, 1), (9, 9)])
def test_follow_without_a_driver_holds_the_face_still(frames, expected):
    kps = retarget(PORTRAIT, None, FOLLOW, frames)
    assert torch.equal(kps.points, PORTRAIT.points.expand(expected, 3, 2))


def test_the_reference_implementation_cannot_follow():
    with pytest.raises(ValueError, match='no "follow": switch upstream_exact off'):
        retarget(PORTRAIT, DRIVER, FOLLOW, upstream_exact=True)


@pytest.mark.parametrize("strategy", [NO_RETARGET, OFFSET, NAIVE])
def test_other_strategies_need_a_driver(strategy):
    with pytest.raises(ValueError, match=f'"{strategy.value}" needs driving V-Kps'):
        retarget(PORTRAIT, None, strategy)


@pytest.mark.parametrize(
    "timing, frames, expected",
    [
        (Timing.CLOCK, 0, [0, 1, 2, 3, 4, 5, 6, 6]),  # four frames at 15 fps are eight at 30
        (Timing.CLOCK, 4, [0, 1, 2, 3]),
        (Timing.STRETCH, 0, [0, 2, 4, 6]),
        (Timing.STRETCH, 2, [0, 2]),
    ],
)
def test_clock_keeps_the_speed_and_stretch_the_content(timing, frames, expected):
    driving = replace(moved(DRIVER, (0.0, 0.0), (2.0, 0.0), (4.0, 0.0), (6.0, 0.0)), fps=15.0)
    kps = retarget(DRIVER, driving, OFFSET, frames, 30.0, timing)
    shift = (kps.points - DRIVER.points)[:, 0, 0].tolist()
    assert shift == pytest.approx(expected, abs=1e-4)


def test_a_driving_face_without_width_is_refused():
    flat = replace(DRIVER, points=torch.tensor([[[100.0, 60.0], [100.0, 60.0], [100.0, 95.0]]]))
    with pytest.raises(ValueError, match="without width or height"):
        retarget(PORTRAIT, flat, OFFSET)


def test_two_detectors_are_worth_a_sentence_that_says_how_far_they_differ():
    (sentence,) = bias(PORTRAIT, replace(DRIVER, detector="b"))
    assert "from a, the driving V-Kps from b" in sentence
    assert "3 %" in sentence and "4 %" in sentence


@pytest.mark.parametrize("driving", [None, DRIVER, replace(DRIVER, detector=None)])
def test_one_detector_is_worth_no_sentence(driving):
    assert bias(PORTRAIT, driving) == []
