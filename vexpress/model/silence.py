"""Attention to silence is the output bias, whoever looks: of the conds without a voice, one frame looks for all."""

from collections.abc import Sequence

import torch
from torch import Tensor


def has_voice(tokens: Tensor) -> bool:
    """Whether any audio token is not zero. tokens: (F, T, A), perhaps one value expanded to that"""
    distinct = tokens[tuple(slice(1 if stride == 0 else None) for stride in tokens.stride())]
    return bool(distinct.any())


def gather(x: Tensor, voices: Sequence[bool]) -> Tensor:
    """
    x:       (B*F, …)
    voices:  per cond, whether it has a voice; not all have
    returns: (b*F + 1, …) the frames of the b conds with a voice, and one of the others
    """
    conds = x.chunk(len(voices))
    listening = [cond for cond, voice in zip(conds, voices, strict=True) if voice]
    return torch.cat([*listening, conds[voices.index(False)][:1]])


def spread(x: Tensor, voices: Sequence[bool], num_frames: int) -> Tensor:
    """
    x:       (b*F + 1, L, C) what attention gave to what `gather` gave
    returns: (B*F, L, C)
    """
    *listening, bias = x.split(num_frames)
    conds = iter(listening)
    return torch.cat([next(conds) if voice else bias.expand(num_frames, -1, -1) for voice in voices])
