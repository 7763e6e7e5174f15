"""Clips of drawn people who talk, with everything about them known exactly."""

from dataclasses import dataclass

from torch import Tensor

from ..kps import Kps
from .faces import draw
from .identity import identity
from .motion import motion
from .mouth import mouth_of


@dataclass(frozen=True, eq=False)
class Clip:
    """
    images:   (F, 3, H, W) 0..1
    kps:      left eye, right eye, nose in every frame
    opening:  (F,) of the mouth, 0..1
    width:    (F,) of the mouth, 0 rounded, 1 wide
    lip_box:  (F, 4) left, top, right, bottom in pixels
    waveform: (N,) at 16 kHz
    """

    images: Tensor
    kps: Kps
    opening: Tensor
    width: Tensor
    lip_box: Tensor
    waveform: Tensor


def clip(seed: int, voice: Tensor, fps: float, size: int) -> Clip:
    """voice: (N,) at 16 kHz, without noise"""
    mouth = mouth_of(voice, fps)
    images, kps, lip_box = draw(identity(seed), motion(seed, mouth, fps), size)
    return Clip(images, Kps(kps, size, size, fps), mouth.opening.float(), mouth.width.float(), lip_box, voice)
