"""Withholding strong conditions now and then, so that the weak ones are heard."""

from typing import NamedTuple

import torch
from torch import Tensor


class DropRates(NamedTuple):
    """Shares of the clips that go without; the rest has everything."""

    everything: float = 0.1  # what guidance needs
    reference: float = 0.0
    kps: float = 0.0
    both: float = 0.0  # portrait and V-Kps, not the voice


class Kept(NamedTuple):
    """Which conditions each clip keeps for all of its frames: (B,) bool each."""

    reference: Tensor
    kps: Tensor
    voice: Tensor


OUTCOMES = torch.tensor(  # reference, kps, voice: in the order of DropRates, then the clips that keep all
    [(0, 0, 0), (0, 1, 1), (1, 0, 1), (0, 0, 1), (1, 1, 1)], dtype=torch.bool
)


def draw_kept(clips: int, rates: DropRates, generator: torch.Generator) -> Kept:
    shares = torch.tensor(rates).cumsum(0)
    outcome = torch.bucketize(torch.rand(clips, generator=generator), shares, right=True)
    return Kept(*OUTCOMES[outcome].unbind(1))
