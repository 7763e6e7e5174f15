import numpy as np
import pytest
import torch
from golden_weights import GOLDEN
from pack.vexpress import mfcc as module
from pack.vexpress.keys import load_weights
from pack.vexpress.mfcc import mfcc
from pack.vexpress.syncnet import (
    SAMPLE_RATE,
    Synchrony,
    SyncNet,
    face_square,
    steady_squares,
    voice_windows,
    windows_of,
)
from safetensors.torch import load_file
from syncnet_scene import syncnet_weights, voice
from torch.nn import functional as F


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN / "audio" / "syncnet.safetensors")


@pytest.fixture(scope="module")
def net():
    net = SyncNet().eval().requires_grad_(False)
    load_weights(net, syncnet_weights(), "by rule")
    return net


def relative_error(value, expected):
    return ((value - expected).norm() / expected.norm()).item()


def test_mfcc_is_golden(golden):
    assert torch.from_numpy(mfcc(voice(1.2), SAMPLE_RATE)) == pytest.approx(golden["mfcc"], abs=1e-3)


def test_mfcc_in_pieces_is_the_same(monkeypatch):
    whole = mfcc(voice(1.2), SAMPLE_RATE)
    monkeypatch.setattr(module, "AT_ONCE", 7)
    assert mfcc(voice(1.2), SAMPLE_RATE) == pytest.approx(whole, abs=1e-5)


def test_lips_are_golden(net, golden):
    faces = torch.randint(0, 256, (6, 3, 224, 224), generator=torch.Generator().manual_seed(0)).float()
    assert relative_error(net.lips(faces), golden["lips"]) < 1e-5


def test_the_voice_is_golden(net, golden):
    windows = voice_windows(mfcc(voice(1.2), SAMPLE_RATE), 3, 5)
    assert relative_error(net.voice(windows), golden["voice"]) < 1e-4


def measured(lips, heard, at_once):
    result, heard = Synchrony(), F.pad(heard, (0, 0, 15, 15))
    for first in range(0, len(lips), at_once):
        part = lips[first : first + at_once]
        result.add(part, heard[first : first + len(part) + 30])
    return {number.name: number.value for number in result.numbers()}


@pytest.mark.parametrize("at_once", [20, 7])
def test_distances_are_golden(golden, at_once):
    chance = torch.Generator().manual_seed(0)
    torch.randint(0, 256, (6, 3, 224, 224), generator=chance)
    lips, heard = (torch.randn(20, 1024, generator=chance) for _ in range(2))
    numbers, distances = measured(lips, heard, at_once), golden["distances"]
    assert numbers["SyncNet LSE-D"] == pytest.approx(distances.min().item(), rel=1e-5)
    assert numbers["SyncNet LSE-C"] == pytest.approx((distances.median() - distances.min()).item(), rel=1e-4)


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_lips_that_come_late_are_said_to(late):
    lips = torch.randn(60, 1024)
    numbers = measured(lips, lips.roll(-late, 0), 60)  # the voice that these lips belong to came before them
    assert numbers["lips later than the voice by"] == pytest.approx(late / 25)
    assert numbers["SyncNet LSE-D"] < 10 < numbers["SyncNet LSE-C"]


@pytest.mark.parametrize(
    "pictures, samples, windows", [(30, 19200, 25), (30, 12900, 15), (5, 19200, 0), (4, 0, 0)]
)
def test_windows_end_with_pictures_or_sound(pictures, samples, windows):
    assert windows_of(pictures, samples) == windows


def test_boxes_are_steady_and_filled_in():
    boxes = np.tile([10.0, 20.0, 50.0, 80.0], (40, 1)) + np.arange(40)[:, None]
    truth = boxes[:, :2] + [20, 30]
    boxes[20] += 100  # a detector's slip
    boxes[30:33] = np.nan
    squares = steady_squares(boxes, np.arange(40))
    assert squares[:, 2] == pytest.approx(30)
    assert squares[6:-6, :2] == pytest.approx(truth[6:-6], abs=1)


def test_boxes_are_steadied_at_the_rate_of_the_pictures_shown():
    boxes = np.tile([10.0, 20.0, 50.0, 80.0], (80, 1))
    boxes[40:52] += 100  # 12 frames in a row, of which 6 are shown
    boxes[0::2][:15] = np.nan
    squares = steady_squares(boxes, np.arange(0, 80, 2))
    assert len(squares) == 40 and (squares == [30, 50, 30]).all()


def test_a_face_is_cut_with_more_below_it_than_above_and_grey_beyond_the_picture():
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[60:] = [255, 0, 0]
    square = face_square(picture, np.array([20.0, 40.0, 20.0]))  # 20 to 76 down, -8 to 48 across
    assert square.shape == (3, 224, 224)
    assert (square[:, :, :30] == 110).all() and not (square[:, :158, 34:]).any()
    assert (
        square[:, 162:, 34:].amax((1, 2)).tolist()
        == [0, 0, 255]
        == square[:, 162:, 34:].amin((1, 2)).tolist()
    )
