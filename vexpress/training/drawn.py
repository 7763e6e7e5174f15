"""Clips of drawn people who talk, made as training asks for them: no two steps see the same."""

import shutil
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..audio import SAMPLE_RATE, frame_count, frame_features, prepare_waveform
from .clips import FAR, Sample
from .dice import Dice
from .faces import Drawn, draw
from .identity import identity, together
from .motion import Motion, motion
from .mouth import Mouth, mouth_of
from .speech import babble, espeak, spoiled, with_silence

FRAME_RATES = (24.0, 25.0, 30.0, 30.0)
SPOKEN, PAUSED = 0.75, 0.3  # shares of the voices that are real speech, that fall silent for a while
SEEDS = HELD_OUT = 1 << 28  # those below are learnt from, those from here on are not
POSES = 8  # of one clip that moves so slowly that each is another one
SLOW = 0.45  # frames per second
SHUT = 0.15  # share of the portraits that keep their mouth shut


class Spoken(NamedTuple):
    """
    features: (F, 10, A) what each frame hears
    """

    features: Tensor
    mouth: Mouth
    fps: float


def voice_of(seed: int, seconds: float) -> tuple[Tensor, Tensor]:
    """A voice as a microphone hears it and as it is, each (N,) at 16 kHz."""
    dice = Dice(seed, subject=6)
    speak = espeak if dice.chance(SPOKEN) and shutil.which("espeak-ng") else babble
    clean = speak(seed, seconds)
    if dice.chance(PAUSED):
        clean = with_silence(seed, clean)
    return spoiled(seed, clean), clean


@torch.no_grad()
def spoken(seed: int, seconds: float, hear: Callable[[Tensor], Tensor]) -> Spoken:
    """hear: a voice's audio features, (1, N) -> (1, S, A)"""
    heard, clean = voice_of(seed, seconds)
    fps = Dice(seed, subject=7).pick(FRAME_RATES)
    frames = frame_count(seconds, fps)
    waveform = prepare_waveform(heard[None, None], SAMPLE_RATE, frames, fps)
    features = frame_features(hear(waveform[None])[0], frames)
    return Spoken(features, Mouth(*(track[:frames] for track in mouth_of(clean, fps))), fps)


class Portraits(NamedTuple):
    """Single pictures."""

    drawn: Drawn
    motion: Motion


def portraits(seed: int, number: int, size: int, first_person: int = 0, each: int = 1) -> Portraits:
    """
    number: of pictures, a multiple of 8
    each:   pictures of one person
    """
    dice = Dice(seed, subject=5)
    people = together([identity(first_person + (seed * number + i) // each) for i in range(number)])
    parts = []
    for i in range(0, number, POSES):
        opening = dice.uniform(POSES) ** 1.5 * (dice.uniform(POSES) > SHUT)
        parts.append(motion(first_person + seed * number + i, Mouth(opening, dice.uniform(POSES)), SLOW))
    moves = Motion(*(torch.cat(part) for part in zip(*parts, strict=True)))
    return Portraits(draw(people, moves, size), moves)


class DrawnPeople:
    """A source of clips: a new person in each, who says a part of one of the voices."""

    def __init__(
        self,
        voices: list[Spoken],
        encode: Callable[[Tensor], Tensor],
        size: int,
        coupled: float = 0.0,
        first: int = 0,
    ):
        """
        encode:  pictures to latents, (B, 3, H, W) 0..1 -> (B, 4, H/8, W/8)
        coupled: 0..1, how much of the head's nods comes from the voice
        first:   the seed of the first of the people
        """
        self.voices, self.encode, self.size, self.coupled = voices, encode, size, coupled
        self.first = first

    @torch.no_grad()
    def __call__(self, frames: int, generator: torch.Generator) -> Sample:
        def one_of(number: int) -> int:
            return int(torch.randint(number, (), generator=generator))

        voice, person, moves = self.voices[one_of(len(self.voices))], one_of(SEEDS), one_of(SEEDS)
        track = motion(moves, voice.mouth, voice.fps, self.coupled)
        start = one_of(len(voice.features) - frames + 1)
        clip = list(range(start, start + frames))
        away = [i for i in range(len(voice.features)) if i < start - FAR or i >= start + frames + FAR]
        shown = [*clip, away[one_of(len(away))]]
        drawn = draw(identity(self.first + person), Motion(*(part[shown] for part in track)), self.size)
        latents = self.encode(drawn.images).float()
        return Sample(
            latents[:-1],
            latents[-1],
            drawn.kps[:-1],
            voice.features[clip],
            twice_as_large(drawn.lip_box[:-1]),
        )


def twice_as_large(boxes: Tensor) -> Tensor:
    """(F, 4) left, top, right, bottom, around the same middle"""
    low, high = boxes[:, :2], boxes[:, 2:]
    more = (high - low) / 2
    return torch.cat([low - more, high + more], dim=-1)
