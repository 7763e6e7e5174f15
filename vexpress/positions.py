"""Positions of frames in a context window."""

import math

import torch
from torch import Tensor


def sinusoid(num_frames: int, width: int, device: torch.device | None = None) -> Tensor:
    """What each motion module adds to its frames: (F, C), sine in even columns, cosine in odd ones (SPEC 3)."""
    frames = torch.arange(num_frames, device=device)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angles = frames * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
