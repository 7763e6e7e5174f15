"""From pictures and a voice to a video."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

from .audio import resampled

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)  # Hz
SLOWEST, FASTEST = 1, 240  # frames a second
CHANNELS = (1, 2, 6)  # mono, stereo, 5.1: what ComfyUI writes


def frame_rate(fps: float) -> Fraction:
    """The fraction a rate was meant as: 29.97 is 2997/100, 29.97003 is 30000/1001."""
    if not SLOWEST <= fps <= FASTEST:
        raise ValueError(f"fps is {fps:g}: a video has {SLOWEST} to {FASTEST} frames a second.")
    return Fraction(fps).limit_denominator(1001)


def pad_to_even(images: Tensor) -> Tensor:
    """Repeat the last row or column of pictures with odd sizes, which H.264 cannot hold.

    images: (F, H, W, C)
    """
    _, height, width, _ = images.shape
    if height % 2 == 0 and width % 2 == 0:
        return images
    channels_first = F.pad(images.movedim(-1, 1), (0, width % 2, 0, height % 2), mode="replicate")
    return channels_first.movedim(1, -1)


def sound_track(waveform: Tensor, sample_rate: int, seconds: float) -> tuple[Tensor, int]:
    """The voice for a clip, no longer than it, at a rate and with channels that a video can hold.

    waveform: (1, C, N) samples at `sample_rate`
    returns:  (1, C, N) and its rate
    """
    waveform = waveform[..., : round(seconds * sample_rate)]
    if waveform.shape[1] not in CHANNELS:
        waveform = waveform.float().mean(dim=1, keepdim=True)
    if sample_rate in AAC_RATES:
        return waveform, sample_rate
    return resampled(waveform.float(), sample_rate, 48000), 48000


def deflicker(
    frames: Iterable[Tensor], recent: Sequence[Tensor] = (), more: bool = False
) -> Iterator[Tensor]:
    """3x3x3 median over time, height and width; three frames are in memory at a time.

    frames: F times (H, W, C); the clip is reflected at both ends, a single frame is its own neighbour
    recent: the last two frames, or all, of the part of the clip before this one
    more:   another part follows, and the last frame waits for it
    """
    *_, before, here = None, None, *recent
    for after in frames:
        if here is not None:
            yield _median(after if before is None else before, here, after)
        before, here = here, after
    if here is not None and not more:
        before = here if before is None else before
        yield _median(before, here, before)


def _median(before: Tensor, here: Tensor, after: Tensor) -> Tensor:
    """Middle of the 27 values around each pixel, channel by channel.

    before, here, after: (H, W, C)
    """
    frames = torch.stack([before, here, after]).permute(3, 0, 1, 2)  # (3, H, W, C) -> (C, 3, H, W)
    mode = "reflect" if min(frames.shape[2:]) > 1 else "replicate"  # one row has nothing to reflect
    padded = F.pad(frames, (1, 1, 1, 1), mode=mode)
    cubes = padded.unfold(2, 3, 1).unfold(3, 3, 1)  # (C, 3, H, W, 3, 3)
    cubes = cubes.permute(2, 3, 0, 1, 4, 5).flatten(3)  # (H, W, C, 27)
    return cubes.median(dim=-1).values
