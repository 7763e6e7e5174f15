"""Clips of drawn people who talk, with everything about them known exactly."""

from dataclasses import dataclass

import torch
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


def clip(
    seed: int,
    voice: Tensor,
    fps: float,
    size: int,
    coupled: float = 0.0,
    face: int | None = None,
    device: torch.device | str = "cpu",
) -> Clip:
    """
    voice:   (N,) at 16 kHz, without noise
    coupled: 0..1, how much of the head's nods comes from the voice
    face:    seed of who speaks, if it is not the clip's own
    """
    mouth = mouth_of(voice, fps)
    moves = motion(seed, mouth, fps, coupled)
    images, kps, lip_box = draw(identity(seed if face is None else face), moves, size, device)
    return Clip(images, Kps(kps, size, size, fps), mouth.opening.float(), mouth.width.float(), lip_box, voice)
