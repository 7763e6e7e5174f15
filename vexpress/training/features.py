"""Eyes, brows, glasses, nose and mouth, each drawn on the pixels around it."""

from typing import NamedTuple

import torch
from torch import Tensor

from .identity import DARK, Identity
from .placing import Head, Patch, Spot
from .shapes import cover, ellipse, lens, paint, soft

EYE_REACH, NOSE_REACH, MOUTH_REACH = 0.56, 0.4, 0.56  # units around the landmark
WHITE, PUPIL = (0.98, 0.97, 0.96), (0.07, 0.06, 0.08)
GLOSS = (1.0, 1.0, 1.0)
CAVITY, TEETH, TONGUE = (0.3, 0.07, 0.1), (0.97, 0.95, 0.93), (0.84, 0.4, 0.42)
WIDEST_OPENING = 0.33  # units
ABOVE, BELOW = 0.3, 0.7  # how an opening is shared by the lips
CORNER = 0.9  # half the opening's width, of half the lips'
LOWER_LID = 0.72  # its depth, of the upper one's height


class Gaze(NamedTuple):
    """Each (F, 1, 1), as in Motion."""

    blink: Tensor
    x: Tensor
    y: Tensor


class Lips(NamedTuple):
    """
    Each (F, 1, 1), in units.

    wide:        from the middle to a corner
    open:        between the lips
    top, bottom: from the line of the corners to their edges
    """

    wide: Tensor
    open: Tensor
    top: Tensor
    bottom: Tensor


def lips_of(person: Identity, opening: Tensor, width: Tensor) -> Lips:
    between = WIDEST_OPENING * opening
    thick = person.lip_thick * (1.25 - 0.4 * width)
    wide = person.mouth_width * (0.64 + 0.44 * width)
    return Lips(wide, between, 0.72 * thick + ABOVE * between, thick + BELOW * between)


def draw_eye(picture: Tensor, person: Identity, head: Head, at: Spot, gaze: Gaze, side: int) -> None:
    """side: -1 for the left eye of the picture, 1 for the right one"""
    patch = Patch(picture, head, at, EYE_REACH)
    pixels, unit = patch.pixels, head.unit
    x, y = patch.grid.around(at)
    out = side * x  # away from the nose
    brow_y, y = y + 0.4 * person.eye_slant * out, y + person.eye_slant * out
    wide, high = person.eye_width, person.eye_height
    above = high - (1 + LOWER_LID) * high * gaze.blink
    below = LOWER_LID * high
    inside = cover(lens(out, y, wide, above, below), unit)
    paint(pixels, _colour(pixels, WHITE), inside)
    _draw_iris(pixels, person, unit, x - 0.055 * gaze.x, y - 0.035 * gaze.y, inside)
    lid = lens(out, y, wide, above, 0.05 - above)
    paint(pixels, person.skin * 0.35, 0.35 * inside * soft(lid, 0.06))
    crease = lens(out, y + 0.055, wide * 1.02, high + 0.014, 0.014 - high)
    paint(pixels, person.skin * 0.55, 0.5 * (1 - gaze.blink) * cover(crease, unit))
    lower = lens(out, y, wide * 0.96, 0.008 - below, below + 0.01)
    paint(pixels, person.skin * 0.5, 0.5 * cover(lower, unit))
    lash = lens(out - 0.012, y, wide * 1.09, above + person.lashes, 0.3 * person.lashes - above)
    paint(pixels, _colour(pixels, DARK), cover(lash, unit))
    thick = person.brow_thick * (1.1 - 0.8 * out).clamp(0.5, 1.3)
    brow = lens(
        out - 0.02, brow_y + person.brow_above, wide * 1.3, person.brow_arch + thick, thick - person.brow_arch
    )
    paint(pixels, person.hair * 0.72, 0.95 * cover(brow, unit))
    _draw_glasses(pixels, person, unit, out, y)
    patch.put_back()


def _draw_iris(pixels: Tensor, person: Identity, unit: Tensor, x: Tensor, y: Tensor, inside: Tensor) -> None:
    radius = person.iris_size
    paint(pixels, person.iris * 0.55, inside * cover(ellipse(x, y, radius, radius), unit))
    paint(pixels, person.iris, inside * cover(ellipse(x, y, 0.84 * radius, 0.84 * radius), unit))
    glow = soft(ellipse(x, y - 0.45 * radius, 0.6 * radius, 0.4 * radius), 0.06)
    paint(pixels, 0.4 + 0.6 * person.iris, 0.7 * inside * glow)
    pupil = ellipse(x, y, 0.46 * radius, 0.46 * radius)
    paint(pixels, _colour(pixels, PUPIL), inside * cover(pupil, unit))
    shine = ellipse(x + 0.36 * radius, y + 0.38 * radius, 0.3 * radius, 0.3 * radius)
    paint(pixels, _colour(pixels, GLOSS), inside * cover(shine, unit))


def _draw_glasses(pixels: Tensor, person: Identity, unit: Tensor, out: Tensor, y: Tensor) -> None:
    round_rim = ellipse(out, y - 0.01, 0.3, 0.27)
    square_rim = torch.maximum(out.abs() - 0.2, (y - 0.01).abs() - 0.14).clamp(min=-0.1)
    corner = ((out.abs() - 0.2).clamp(min=0) ** 2 + ((y - 0.01).abs() - 0.14).clamp(min=0) ** 2).sqrt()
    square_rim = torch.where(corner > 0, corner, square_rim) - 0.1
    rim = square_rim + person.glasses_round * (round_rim - square_rim)
    across = out + person.eye_apart  # from the middle of the face
    bridge = lens(across, y + 0.02, person.eye_apart - 0.27, *unit.new_tensor((0.06, -0.025)))
    temple = torch.maximum((y + 0.05).abs() - 0.018, 0.29 - out)
    temple = torch.maximum(temple, out - person.cheek_width + person.eye_apart + 0.03)
    wire = torch.minimum(rim.abs() - 0.02, torch.minimum(bridge, temple))
    paint(pixels, _colour(pixels, GLOSS), 0.1 * person.glasses * cover(rim, unit))
    paint(pixels, person.frame, person.glasses * cover(wire, unit))


def draw_nose(picture: Tensor, person: Identity, head: Head, at: Spot) -> None:
    patch = Patch(picture, head, at, NOSE_REACH)
    pixels, unit, shade = patch.pixels, head.unit, person.skin * _colour(patch.pixels, (0.78, 0.62, 0.58))
    x, y = patch.grid.around(at)
    wide = person.nose_width
    paint(pixels, shade, 0.35 * soft(ellipse(x - 0.6 * wide, y + 0.1, 0.5 * wide, 0.26), 0.14))
    paint(pixels, shade, 0.55 * soft(ellipse(x, y - 0.09, 1.15 * wide, 0.055), 0.08))
    paint(pixels, person.skin, soft(ellipse(x, y, 0.8 * wide, 0.095), 0.06))
    nostrils = ellipse(x.abs() - 0.5 * wide, y - 0.085, 0.042, 0.022)
    paint(pixels, person.skin * _colour(pixels, (0.5, 0.34, 0.32)), 0.9 * cover(nostrils, unit))
    paint(pixels, person.nose_tip, 0.9 * soft(ellipse(x, y, 0.055, 0.045), 0.07))
    patch.put_back()


def draw_mouth(picture: Tensor, person: Identity, head: Head, at: Spot, lips: Lips) -> None:
    patch = Patch(picture, head, at, MOUTH_REACH)
    pixels, unit = patch.pixels, head.unit
    x, y = patch.grid.around(at)
    shade = person.skin * _colour(pixels, (0.8, 0.66, 0.62))
    paint(pixels, shade, 0.45 * soft(ellipse(x, y - lips.bottom - 0.03, 0.6 * lips.wide, 0.03), 0.1))
    y = y + person.smile * (x / lips.wide) ** 2
    full = (2.5 * lips.open).clamp(max=0.7)
    bow = lips.top * (1.06 - 0.26 / (1 + (x / 0.055) ** 2))
    upper = lens(x, y, lips.wide, bow, BELOW * lips.open, full)
    lower = lens(x, y, lips.wide * 0.97, ABOVE * lips.open, lips.bottom, full)
    paint(pixels, person.lip * 0.86, cover(upper, unit))
    paint(pixels, person.lip, cover(torch.maximum(lower, -y), unit))
    shine = ellipse(x + 0.03, y - 0.55 * lips.bottom - 0.45 * BELOW * lips.open, 0.4 * lips.wide, 0.018)
    paint(pixels, 0.35 + 0.65 * person.lip, 0.6 * soft(shine, 0.05))
    _draw_cavity(pixels, unit, x, y, lips, full)
    patch.put_back()


def _draw_cavity(pixels: Tensor, unit: Tensor, x: Tensor, y: Tensor, lips: Lips, full: Tensor) -> None:
    above, below = ABOVE * lips.open, BELOW * lips.open
    inside = lens(x, y, CORNER * lips.wide, above + 0.009, below + 0.009, full)
    teeth = torch.maximum(inside + 0.012, y + above - (0.3 * lips.open).clamp(max=0.085))
    tongue = torch.maximum(inside + 0.012, ellipse(x, y - below, 0.55 * lips.wide, 0.42 * lips.open + 0.001))
    paint(pixels, _colour(pixels, CAVITY), cover(inside, unit))
    paint(pixels, _colour(pixels, TONGUE), cover(tongue, unit))
    paint(pixels, _colour(pixels, TEETH), cover(teeth, unit))


def _colour(like: Tensor, colour: tuple[float, float, float]) -> Tensor:
    return torch.tensor(colour, device=like.device)[:, None, None]
