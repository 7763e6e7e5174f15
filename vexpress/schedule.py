"""Which timesteps a clip is denoised at, and the noise it starts from (SPEC 6)."""

import math

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


class NoiseStream:
    """The noise that ComfyUI draws for a clip in one piece, (F, 4, h, w), drawn frame by frame.

    torch fills normal numbers in blocks of 16, so pieces are drawn in whole blocks; where the last block of the clip is
    cut short, it draws the clip's last 16 numbers anew.
    """

    BLOCK = 16

    def __init__(self, seed: int, frames: int, shape: tuple[int, ...]):
        """shape: (4, h, w) of one frame"""
        self.generator = torch.Generator("cpu").manual_seed(seed)
        self.shape = shape
        self.numbers_per_frame = math.prod(shape)
        self.left = frames * self.numbers_per_frame  # numbers the clip still needs
        self.spare = torch.empty(0)

    def draw(self, frames: int) -> Tensor:
        """The next frames: (frames, 4, h, w)"""
        wanted = frames * self.numbers_per_frame
        missing = wanted - len(self.spare)
        if wanted == self.left:
            numbers = torch.cat([self.spare, self._last(missing)])
        else:
            blocks = -(-missing // self.BLOCK)
            numbers = torch.cat([self.spare, self._blocks(blocks)])
        self.left -= wanted
        self.spare = numbers[wanted:]
        return numbers[:wanted].view(frames, *self.shape)

    def _blocks(self, count: int) -> Tensor:
        return torch.randn(count * self.BLOCK, generator=self.generator)

    def _last(self, missing: int) -> Tensor:
        blocks, rest = divmod(missing, self.BLOCK)
        whole = self._blocks(blocks)
        if not rest:
            return whole
        torch.rand(rest, generator=self.generator)
        return torch.cat([whole[: missing - self.BLOCK], self._blocks(1)])
