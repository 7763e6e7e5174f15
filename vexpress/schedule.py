"""Which timesteps a clip is denoised at, and the noise it starts from (SPEC 6)."""

import torch
from torch import Tensor

TRAIN_STEPS = 1000


def trailing_timesteps(steps: int) -> Tensor:
    """Timesteps of `steps` evenly spaced levels that end at pure noise: (steps,) long, 999 first."""
    spacing = torch.arange(TRAIN_STEPS, 0, -TRAIN_STEPS / steps, dtype=torch.float64)[:steps]
    return spacing.round().long() - 1


def reference_noise(
    seed: int,
    frames: int,
    channels: int,
    height: int,
    width: int,
    draws_before: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Noise as the reference implementation draws it: channels outermost, then frames. (F, C, h, w)

    draws_before: numbers taken from the seed's stream first; its wav2vec2 takes one per layer, 12 in the base model
    dtype: the precision it ran in; the stream differs between float16 and float32
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    torch.rand(draws_before, generator=generator)
    noise = torch.randn(1, channels, frames, height, width, generator=generator, dtype=dtype)
    return noise[0].movedim(1, 0).float()  # (C, F, h, w) -> (F, C, h, w)
