"""What a drawn head does: sways, nods, looks around, blinks, and moves its lips with the voice."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .dice import Dice
from .mouth import Mouth

WAVES = 5  # that each sway is the sum of
SLOWEST, QUICKEST = 0.08, 0.7  # Hz
SWAY = {"x": 0.035, "y": 0.03, "roll": 0.08, "size": 0.02, "yaw": 0.24, "pitch": 0.1}  # standard deviations
REST = {"x": 0.03, "y": 0.015, "roll": 0.05, "size": 0.05, "yaw": 0.12, "pitch": 0.05}  # of a clip's middle
LARGEST = {"x": 0.1, "y": 0.07, "roll": 0.3, "size": 0.1, "yaw": 0.55, "pitch": 0.25}
NOD = {"y": 0.05, "pitch": 0.22}  # of a head that nods with the loudest voice
NOD_SECONDS = 0.12  # standard deviation of a nod's low-pass
BLINK_EVERY, BLINK_SECONDS = 2.8, 0.13  # mean and half the length of one
GAZE_EVERY, GAZE_SECONDS = 1.2, 0.04


class Motion(NamedTuple):
    """
    Each (F,) float64.

    x, y:        of the head away from its place, in picture sizes
    roll:        radians, clockwise
    size:        relative to the usual one
    yaw, pitch:  radians, to the right and down as seen in the picture
    blink:       0 open, 1 closed
    gaze_x, gaze_y: -1..1
    opening, width: of the mouth, 0..1
    """

    x: Tensor
    y: Tensor
    roll: Tensor
    size: Tensor
    yaw: Tensor
    pitch: Tensor
    blink: Tensor
    gaze_x: Tensor
    gaze_y: Tensor
    opening: Tensor
    width: Tensor


def still(mouth: Mouth) -> Motion:
    """A head that looks straight ahead and only speaks."""
    rest = torch.zeros_like(mouth.opening)
    return Motion(rest, rest, rest, rest + 1, rest, rest, rest, rest, rest, *mouth)


def motion(seed: int, mouth: Mouth, fps: float, coupled: float = 0.0) -> Motion:
    """
    coupled: 0..1, how much of the nods comes from the voice instead of from chance
    """
    dice = Dice(seed, subject=1)
    seconds = torch.arange(len(mouth.opening), dtype=torch.float64) / fps
    head = {part: _sway(dice, seconds, SWAY[part], REST[part]) for part in SWAY}
    loudness = _smoothed(mouth.opening, NOD_SECONDS * fps)
    for part, depth in NOD.items():
        head[part] = (1 - coupled) * head[part] + coupled * depth * (loudness - 0.35)
    head = {part: LARGEST[part] * (track / LARGEST[part]).tanh() for part, track in head.items()}
    head["size"] = 1 + head["size"]
    blink, gaze_x, gaze_y = _blinks(dice, seconds), *_gaze(dice, seconds)
    return Motion(**head, blink=blink, gaze_x=gaze_x, gaze_y=gaze_y, opening=mouth.opening, width=mouth.width)


def _sway(dice: Dice, seconds: Tensor, deviation: float, rest: float) -> Tensor:
    frequency = SLOWEST * (QUICKEST / SLOWEST) ** dice.uniform(WAVES, 1)
    strength = 1 / (1 + (frequency / 0.25) ** 2)
    waves = (strength * (2 * math.pi * (frequency * seconds + dice.uniform(WAVES, 1))).sin()).sum(0)
    waves = waves / (strength.square().sum() / 2).sqrt()
    return deviation * dice.between(0.3, 1.2) * waves + rest * dice.normal(1)


def _blinks(dice: Dice, seconds: Tensor) -> Tensor:
    blink, at = torch.zeros_like(seconds), dice.between(0.2, BLINK_EVERY)
    while at < seconds[-1] + BLINK_SECONDS:
        near = (1 - (seconds - at).abs() / BLINK_SECONDS).clamp(0, 1)
        blink = torch.maximum(blink, (1.6 * near).clamp(max=1))
        at += dice.between(0.5, 1.5) * BLINK_EVERY
    return blink


def _gaze(dice: Dice, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Jumps from one point to another, often back to the middle."""
    x, y, at = torch.zeros_like(seconds), torch.zeros_like(seconds), dice.between(0, GAZE_EVERY)
    here = torch.zeros(2, dtype=torch.float64)
    while at < seconds[-1]:
        there = dice.chance(0.6) * (dice.uniform(2) * 2 - 1) * torch.tensor([1.0, 0.6])
        moved = ((seconds - at) / GAZE_SECONDS).clamp(0, 1)
        x, y = x + moved * (there - here)[0], y + moved * (there - here)[1]
        here, at = there, at + dice.between(0.4, 1.6) * GAZE_EVERY
    return x, y


def _smoothed(track: Tensor, deviation: float) -> Tensor:
    places = torch.arange(len(track), dtype=torch.float64)
    distance = places[:, None] - places
    weights = (-0.5 * (distance / deviation) ** 2).exp()
    return weights @ track / weights.sum(1)
