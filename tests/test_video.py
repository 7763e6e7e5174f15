import math
from fractions import Fraction

import pytest
import torch
from golden_weights import GOLDEN
from pack.vexpress.video import deflicker, frame_rate, pad_to_even, sound_track
from safetensors.torch import load_file


def calm(images):
    return torch.stack(list(deflicker(images)))


def test_median_is_the_golden_one():
    golden = load_file(GOLDEN / "audio" / "k_median.safetensors")
    images = golden["video"].permute(1, 2, 3, 0)  # (C, F, H, W) -> (F, H, W, C)
    assert torch.equal(calm(images), golden["filtered"].permute(1, 2, 3, 0))


def test_a_flash_of_one_frame_is_gone():
    images = torch.full((5, 4, 6, 3), 0.25)
    images[2] = 1
    assert calm(images).unique().tolist() == [0.25]


@pytest.mark.parametrize("shape", [(1, 4, 6, 3), (1, 1, 1, 3), (2, 1, 5, 3), (2, 3, 1, 1), (3, 2, 2, 4)])
def test_small_clips_keep_their_shape_and_their_grey(shape):
    images = torch.full(shape, 0.5)
    assert torch.equal(calm(images), images)


def test_a_single_frame_gets_the_median_of_its_neighbourhood():
    image = torch.arange(9.0).reshape(1, 3, 3, 1)
    assert calm(image)[0, 1, 1, 0] == 4


def test_a_clip_without_frames_stays_without():
    assert list(deflicker([])) == []


@pytest.mark.parametrize(
    "size, padded", [((4, 6), (4, 6)), ((5, 6), (6, 6)), ((4, 7), (4, 8)), ((1, 3), (2, 4))]
)
def test_odd_sizes_repeat_their_last_row_and_column(size, padded):
    images = torch.rand(2, *size, 3)
    even = pad_to_even(images)
    assert even.shape == (2, *padded, 3)
    assert torch.equal(even[:, : size[0], : size[1]], images)
    assert torch.equal(even[:, -1, -1], images[:, -1, -1])


@pytest.mark.parametrize(
    "fps, rate",
    [
        (25, Fraction(25)),
        (29.97, Fraction(2997, 100)),
        (30000 / 1001, Fraction(30000, 1001)),
        (24000 / 1001, Fraction(24000, 1001)),
        (23.976, Fraction(2997, 125)),
    ],
)
def test_rates_are_exact_fractions(fps, rate):
    assert frame_rate(fps) == rate


@pytest.mark.parametrize("fps", [0.0, -30.0, 0.5, 1e9, math.inf, math.nan])
def test_rates_that_no_video_has_are_refused(fps):
    with pytest.raises(ValueError, match="fps is .*: a video has 1 to 240 frames a second"):
        frame_rate(fps)


@pytest.mark.parametrize("sizes", [(5,), (2, 3), (1, 1, 3), (1, 4), (4, 1)])
def test_a_clip_can_be_calmed_in_parts(sizes):
    clip = torch.rand(5, 3, 4, 2, generator=torch.Generator().manual_seed(6))
    calmed, start = [], 0
    for size in sizes:
        stop = start + size
        calmed += deflicker(clip[start:stop], clip[max(start - 2, 0) : start], more=stop < 5)
        start = stop
    assert torch.equal(torch.stack(calmed), calm(clip))


@pytest.mark.parametrize(
    "sample_rate, channels, seconds, expected",
    [
        (44100, 2, 1.0, (1, 2, 44100, 44100)),  # cut to the clip
        (44100, 2, 3.0, (1, 2, 88200, 44100)),  # shorter than the clip: as it is
        (192000, 1, 1.0, (1, 1, 48000, 48000)),  # no rate of AAC
        (16000, 4, 1.0, (1, 1, 16000, 16000)),  # no layout ComfyUI writes
    ],
)
def test_sound_fits_the_video(sample_rate, channels, seconds, expected):
    waveform, rate = sound_track(torch.zeros(1, channels, 2 * sample_rate), sample_rate, seconds)
    assert (*waveform.shape, rate) == expected


def test_whole_numbers_of_many_channels_are_mixed():
    waveform, _ = sound_track(torch.tensor([[[1], [2], [6]]], dtype=torch.int16), 48000, 1.0)
    assert waveform.tolist() == [[[3.0]]]
