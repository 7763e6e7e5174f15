"""Cuts the square V-Express was trained on around a face, and puts frames of it back into the picture."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from .kps import Kps

# Measured on 2808 frames of eight clips that the reference implementation ships, as parts of the square's side:
# eyes 0.225 apart (0.210 to 0.231 from clip to clip), halfway between them (0.504, 0.414), nose (0.504, 0.538).
EYE_DISTANCE = 0.225
CENTRE = (0.5 - 0.414) / (0.538 - 0.414)  # on the way from between the eyes to the nose, and a little on
# A head that turns brings its eyes together but not its nose closer: there the nose tells the size.
# No clip's eyes are, on average, nearer than 1.5 times the way to the nose.
EYE_DISTANCE_PER_NOSE = 1.5

RING = 0.1  # of the side: the band where colours are compared, background and shoulders rather than face
FLAT = 1 / 255  # a ring with less contrast says little of it
MOST_GAIN = 1.5
MOST_SIDE = 8192  # pixels: 0.8 GB


@dataclass(frozen=True)
class Placement:
    """
    A square in a picture, and the size it was resized to; all in pixels.

    left, top:     may be negative, and the square may end outside: the picture is mirrored there
    width, height: of the picture
    """

    left: int
    top: int
    side: int
    width: int
    height: int
    size: int

    @property
    def rows(self) -> slice:
        """Of the picture, as far as the square lies in it."""
        return slice(max(self.top, 0), min(self.top + self.side, self.height))

    @property
    def columns(self) -> slice:
        return slice(max(self.left, 0), min(self.left + self.side, self.width))

    def in_picture(self, square: Tensor) -> Tensor:
        """The part that lies in the picture: (side, side, C) -> (h, w, C)"""
        rows, columns = self.rows, self.columns
        return square[
            rows.start - self.top : rows.stop - self.top, columns.start - self.left : columns.stop - self.left
        ]


def place(kps: Kps, margin: float, size: int) -> Placement:
    """The square around the face of the first frame; a margin of 1 is that of the training clips."""
    left_eye, right_eye, nose = kps.points[0].double()
    eyes = (left_eye + right_eye) / 2
    reach = torch.maximum((right_eye - left_eye).norm(), EYE_DISTANCE_PER_NOSE * (nose - eyes).norm())
    if reach == 0:
        raise ValueError(
            f"Eyes and nose of the V-Kps all lie at {_point(nose)}: that says no size of a face."
        )
    side = max(round(margin * reach.item() / EYE_DISTANCE), 1)
    if side > MOST_SIDE:
        raise ValueError(
            f"The face at {_point(nose)} asks for a square of {side} pixels, and {MOST_SIDE} are the most: make the "
            "picture smaller, or lower margin."
        )
    left, top = (round(centre - side / 2) for centre in torch.lerp(eyes, nose, CENTRE).tolist())
    if not (-side < left < kps.width and -side < top < kps.height):
        raise ValueError(f"The face at {_point(nose)} lies outside the picture of {kps.width}x{kps.height}.")
    return Placement(left, top, side, kps.width, kps.height, size)


def _point(point: Tensor) -> str:
    return "({:g}, {:g})".format(*point.tolist())


def cut(images: Tensor, placement: Placement) -> Tensor:
    """The square before resizing: (B, H, W, C) -> (B, side, side, C)"""
    rows = _mirrored(placement.top, placement.side, placement.height)
    columns = _mirrored(placement.left, placement.side, placement.width)
    return images[:, rows[:, None], columns]


def _mirrored(start: int, count: int, length: int) -> Tensor:
    """Indices of `count` pixels from `start` on; beyond an edge they run back, there and back again."""
    period = max(2 * (length - 1), 1)
    index = torch.arange(start, start + count) % period
    return torch.minimum(index, period - index).clamp(max=length - 1)


def kps_in_crop(kps: Kps, placement: Placement) -> Kps:
    """The same face in the resized square."""
    points = points_in_crop(kps.points, placement)
    return replace(kps, points=points, width=placement.size, height=placement.size)


def points_in_crop(points: Tensor, placement: Placement) -> Tensor:
    """(…, 2) x, y in pixels of the picture -> in pixels of the resized square"""
    corner = torch.tensor([placement.left, placement.top])
    return (points - corner) * (placement.size / placement.side)


def feather_weights(placement: Placement, feather: float) -> Tensor:
    """
    How much of the square is seen: 1 inside, falling to 0 at its edges, but not where the picture ends as well.

    feather: width of the fall, of the side
    returns: (h, w, 1) for the part that lies in the picture
    """
    down = _fade(placement.top, placement.side, placement.height, feather * placement.side)
    across = _fade(placement.left, placement.side, placement.width, feather * placement.side)
    return (down[:, None] * across)[..., None]


def _fade(start: int, side: int, length: int, feather: float) -> Tensor:
    """The weights along one axis; smoothstep of the distance to the nearer edge, in pixels."""
    pixels = torch.arange(max(start, 0), min(start + side, length)) + 0.5
    distance = torch.full_like(pixels, torch.inf)
    if start > 0:
        distance = pixels - start
    if start + side < length:
        distance = torch.minimum(distance, start + side - pixels)
    ramp = (distance / feather).clamp(max=1) if feather else torch.ones_like(distance)
    return ramp**2 * (3 - 2 * ramp)


class ColourMatch(NamedTuple):
    """gain, offset: (3,)"""

    gain: Tensor
    offset: Tensor

    def __call__(self, image: Tensor) -> Tensor:
        return (image * self.gain + self.offset).clamp(0, 1)


def match_colour(image: Tensor, picture: Tensor, placement: Placement) -> ColourMatch:
    """
    What gives the outer ring of a generated frame the mean and contrast that the picture has there.

    image, picture: (h, w, 3) the part of the square that lies in the picture
    """
    height, width = image.shape[:2]
    band = max(round(RING * placement.side), 1)
    ring = torch.ones(height, width, dtype=torch.bool)
    ring[band:-band, band:-band] = False
    here, there = image[ring], picture[ring]
    gain = (there.std(0, correction=0) + FLAT) / (here.std(0, correction=0) + FLAT)
    gain = gain.clamp(1 / MOST_GAIN, MOST_GAIN)
    return ColourMatch(gain, there.mean(0) - here.mean(0) * gain)


def paste(picture: Tensor, image: Tensor, weights: Tensor, placement: Placement) -> Tensor:
    """
    picture: (H, W, 3)
    image:   (h, w, 3) the part of the square that lies in the picture
    weights: (h, w, 1)
    returns: (H, W, 3)
    """
    pasted = picture.clone()
    here = pasted[placement.rows, placement.columns]
    here.copy_(torch.lerp(here, image, weights))
    return pasted
