"""Positions of frames in a context window."""

import math

import torch
from torch import Tensor


def sinusoid(num_frames: int, width: int) -> Tensor:
    """What each motion module adds to its frames: (F, C), sine in even columns, cosine in odd ones (SPEC 3)."""
    frames = torch.arange(num_frames)[:, None]
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = frames * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
