"""Which timesteps a clip is denoised at, and the noise it starts from (SPEC 6)."""

import torch
from torch import Tensor

TRAIN_STEPS = 1000


def trailing_timesteps(steps: int) -> Tensor:
    """Timesteps of `steps` evenly spaced levels that end at pure noise: (steps,) long, 999 first."""
    spacing = torch.arange(TRAIN_STEPS, 0, -TRAIN_STEPS / steps, dtype=torch.float64)[:steps]
    return spacing.round().long() - 1


def reference_noise(seed: int, frames: int, channels: int, height: int, width: int) -> Tensor:
    """Noise as the reference implementation draws it: channels outermost, then frames. (F, C, h, w)"""
    generator = torch.Generator("cpu").manual_seed(seed)
    noise = torch.randn(1, channels, frames, height, width, generator=generator)
    return noise[0].movedim(1, 0)  # (C, F, h, w) -> (F, C, h, w)
