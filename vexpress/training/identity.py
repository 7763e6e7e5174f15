"""Who is drawn: the colours and proportions of a face, without its pose."""

from typing import NamedTuple

import torch
from torch import Tensor

from .dice import Dice

SKINS = ((255, 226, 206), (246, 205, 178), (232, 180, 146), (206, 148, 110), (165, 108, 76), (118, 74, 54))
HAIRS = (
    (34, 28, 32), (52, 36, 32), (82, 52, 38), (120, 76, 48), (156, 82, 44), (196, 140, 76), (228, 188, 122),
    (142, 140, 144), (214, 210, 206), (172, 74, 88), (66, 96, 132),
)  # fmt: skip
IRISES = (
    (78, 48, 34), (92, 58, 38), (108, 70, 40), (120, 84, 44), (92, 116, 66), (66, 120, 116), (70, 116, 164), (104, 122, 140),
)  # fmt: skip
CLOTHES = (
    (38, 88, 104), (196, 84, 72), (236, 178, 84), (84, 120, 92), (70, 78, 128), (148, 92, 128), (240, 232, 220),
    (56, 60, 72), (222, 142, 132), (112, 158, 176),
)  # fmt: skip
WALLS = (
    (186, 208, 212), (226, 214, 196), (200, 214, 190), (216, 200, 218), (242, 208, 190), (176, 196, 224),
    (236, 222, 170), (158, 190, 186), (128, 142, 168), (206, 206, 210),
)  # fmt: skip
DARK = (0.14, 0.09, 0.11)


class Identity(NamedTuple):
    """
    Lengths in half face widths, each (N,); colours (N, 3) 0..1. N is 1, or the frames if each shows someone else.
    """

    skin: Tensor
    lip: Tensor
    hair: Tensor
    iris: Tensor
    cloth: Tensor
    trim: Tensor  # of the clothes
    wall: Tensor
    frame: Tensor  # of the glasses
    nose_tip: Tensor
    cheek_width: Tensor
    jaw_width: Tensor
    chin: Tensor  # below the middle of the head
    eye_apart: Tensor  # from the middle of the face
    eye_below: Tensor
    eye_width: Tensor
    eye_height: Tensor
    eye_slant: Tensor
    iris_size: Tensor
    brow_above: Tensor  # the eye
    brow_arch: Tensor
    brow_thick: Tensor
    nose_below: Tensor
    nose_width: Tensor
    mouth_below: Tensor
    mouth_width: Tensor
    lip_thick: Tensor
    smile: Tensor
    blush: Tensor  # 0..1
    lashes: Tensor
    hair_volume: Tensor
    hair_long: Tensor  # how far down it reaches
    hair_side: Tensor  # how much of the face's sides it covers
    hairline: Tensor  # its height in the middle
    hair_sweep: Tensor  # how much lower it is on one side
    hair_part: Tensor  # how deep the parting goes
    hair_curl: Tensor  # how far its curls stand out
    bun: Tensor  # 0 or its size
    neckline: Tensor
    glasses: Tensor  # 0 or 1
    glasses_round: Tensor


def identity(seed: int) -> Identity:
    dice = Dice(seed, subject=0)
    skin = _between_colours(dice, SKINS)
    wall, cloth = _colour(dice, WALLS), _colour(dice, CLOTHES)
    long = dice.pick([0.0, 0.0, 0.25, 0.9, 1.3, 1.7]) + dice.between(0, 0.25)
    colours = dict(
        skin=skin,
        lip=_mixed(
            skin * torch.tensor([0.94, 0.62, 0.6]), torch.tensor([0.78, 0.3, 0.34]), dice.between(0.3, 0.7)
        ),
        hair=_colour(dice, HAIRS),
        iris=_colour(dice, IRISES),
        cloth=cloth,
        trim=_mixed(cloth, dice.pick([torch.ones(3), torch.tensor(DARK)]), 0.35),
        wall=wall,
        frame=_colour(dice, ((40, 34, 38), (120, 66, 48), (168, 60, 64), (58, 74, 110))),
        nose_tip=_mixed(skin, torch.tensor([1.0, 0.95, 0.88]), 0.1 + 0.45 * float(skin.mean())),
    )
    lengths = dict(
        cheek_width=dice.between(0.82, 0.9),
        jaw_width=dice.between(0.56, 0.7),
        chin=dice.between(1.02, 1.16),
        eye_apart=dice.between(0.36, 0.41),
        eye_below=dice.between(0.02, 0.1),
        eye_width=dice.between(0.19, 0.225),
        eye_height=dice.between(0.125, 0.165),
        eye_slant=dice.between(-0.05, 0.16),
        iris_size=dice.between(0.112, 0.13),
        brow_above=dice.between(0.27, 0.33),
        brow_arch=dice.between(0.03, 0.09),
        brow_thick=dice.between(0.028, 0.055),
        nose_below=dice.between(0.4, 0.47),
        nose_width=dice.between(0.12, 0.17),
        mouth_below=dice.between(0.7, 0.76),
        mouth_width=dice.between(0.29, 0.35),
        lip_thick=dice.between(0.06, 0.095),
        smile=dice.between(0.02, 0.08),
        blush=dice.between(0.1, 0.55),
        lashes=dice.between(0.022, 0.042),
        hair_volume=dice.between(0.07, 0.2),
        hair_long=long,
        hair_side=dice.between(0.0, 0.1) + 0.04 * (long > 0.5),
        hairline=dice.between(-0.62, -0.4),
        hair_sweep=dice.between(-0.28, 0.28),
        hair_part=dice.pick([0.0, 0.0, 0.3]) * dice.between(0.5, 1),
        hair_curl=dice.chance(0.3) * dice.between(0.03, 0.07),
        bun=dice.chance(0.12) * dice.between(0.22, 0.3),
        neckline=dice.between(0.3, 0.62),
        glasses=float(dice.chance(0.2)),
        glasses_round=dice.between(0, 1),
    )
    return Identity(
        **{name: colour.float()[None] for name, colour in colours.items()},
        **{name: torch.tensor([length], dtype=torch.float32) for name, length in lengths.items()},
    )


def together(identities: list[Identity]) -> Identity:
    """Someone else in each frame."""
    return Identity(*(torch.cat(parts) for parts in zip(*identities, strict=True)))


def _colour(dice: Dice, colours: tuple) -> Tensor:
    shade = dice.between(-0.04, 0.04) + 0.015 * dice.normal(3)
    return (torch.tensor(dice.pick(colours)) / 255 + shade).clamp(0.02, 0.98)


def _between_colours(dice: Dice, colours: tuple) -> Tensor:
    place = dice.between(0, len(colours) - 1)
    first = int(place)
    pair = torch.tensor(colours[first : first + 2]) / 255
    return _mixed(pair[0], pair[-1], place - first)


def _mixed(a: Tensor, b: Tensor, share: float) -> Tensor:
    return a + share * (b - a)
