"""Chance that depends on a seed alone: not on the device, the global random state or what was drawn elsewhere."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
MOST_SEEDS = 1 << 29  # eight times as many numbers are all that torch's generator tells apart


class Dice:
    def __init__(self, seed: int, subject: int = 0):
        """subject: 0..7, keeps what is drawn for a face, its motion and its voice apart under one seed"""
        if not (0 <= seed < MOST_SEEDS and 0 <= subject < 8):
            raise ValueError(
                f"Seed {seed}, subject {subject}: seeds go from 0 to below 2**29, subjects to 7."
            )
        self.generator = torch.Generator().manual_seed(seed * 8 + subject)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * float(self.uniform(1))

    def chance(self, share: float) -> bool:
        return self.between(0, 1) < share

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(torch.randint(len(choices), (1,), generator=self.generator))]

    def uniform(self, *shape: int) -> Tensor:
        """0..1, float64"""
        return torch.rand(*shape, generator=self.generator, dtype=torch.float64)

    def normal(self, *shape: int) -> Tensor:
        """float64"""
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)
