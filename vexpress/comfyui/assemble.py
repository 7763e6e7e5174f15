"""Pictures and a voice as the parts of ComfyUI's VIDEO."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import comfy.model_management
import torch
from torch import Tensor

from ..audio import check_voice
from ..pictures import rgb
from ..video import deflicker, frame_rate, pad_to_even, sound_track
from .video_frames import with_progress


def assemble(
    images: Tensor, audio: dict | None, fps: float, calm: bool
) -> tuple[Tensor, dict | None, Fraction]:
    """Frames with even sizes, AUDIO no longer than they are, and their rate.

    images: (F, H, W, C) in 0..1
    calm:   deflicker them
    """
    rate = frame_rate(fps)
    if audio is not None:
        check_voice(audio["waveform"], audio["sample_rate"])
        waveform, sample_rate = sound_track(
            audio["waveform"], audio["sample_rate"], float(len(images) / rate)
        )
        audio = {"waveform": waveform, "sample_rate": sample_rate}
    images = rgb(images, "images")
    if calm:
        images = deflicker_images(images)
    return pad_to_even(images), audio, rate


def deflicker_images(images: Tensor) -> Tensor:
    """A clip without flicker. images: (F, H, W, C)"""
    calmed = torch.empty_like(images)
    for target, frame in zip(calmed, with_progress(deflickered(images), len(images)), strict=True):
        target.copy_(frame)
    return calmed


def deflickered(
    frames: Iterable[Tensor], recent: Sequence[Tensor] = (), more: bool = False
) -> Iterator[Tensor]:
    """The 3x3x3 median of a clip or a part of it, on the GPU if there is one. frames: F times (H, W, C)"""
    device = comfy.model_management.get_torch_device()
    return deflicker((frame.to(device) for frame in frames), [frame.to(device) for frame in recent], more)
