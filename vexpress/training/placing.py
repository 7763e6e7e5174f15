"""Where the parts of a head are in the picture: one transform places what is drawn and the V-Kps."""

from typing import NamedTuple

import torch
from torch import Tensor

from .motion import LARGEST, Motion

UNIT = 0.285  # half a face, in picture sizes
MIDDLE = 0.5, 0.47  # of the head at rest, in picture sizes


class Head(NamedTuple):
    """Each (F, 1, 1). Units are half a face; x to the right, y down, z towards the viewer, around the head's middle.

    x, y:   pixels
    unit:   pixels
    others: cosines and sines of the angles
    """

    x: Tensor
    y: Tensor
    unit: Tensor
    roll: tuple[Tensor, Tensor]
    yaw: tuple[Tensor, Tensor]
    pitch: tuple[Tensor, Tensor]


class Spot(NamedTuple):
    """
    A point on the head as the viewer sees it, in units, and how narrow what lies flat on the head is there.

    All (F, 1, 1).
    """

    x: Tensor
    y: Tensor
    narrow: Tensor
    low: Tensor


class Grid(NamedTuple):
    """Where each pixel is on the head, in units as the viewer sees it: (F, H, W)"""

    x: Tensor
    y: Tensor

    def around(self, spot: Spot) -> "Grid":
        """The same pixels as seen on the head's surface from one of its points."""
        return Grid((self.x - spot.x) / spot.narrow, (self.y - spot.y) / spot.low)


def head_of(motion: Motion, size: int) -> Head:
    """In float64, so that a rounding that depends on the number of frames does not reach the picture."""
    x, y, roll, larger, yaw, pitch = (track.double()[:, None, None] for track in motion[:6])
    angles = [(angle.cos(), angle.sin()) for angle in (roll, yaw, pitch)]
    return Head((MIDDLE[0] + x) * size - 0.5, (MIDDLE[1] + y) * size - 0.5, larger * UNIT * size, *angles)


def as_floats(places: NamedTuple) -> NamedTuple:
    """As float32, tuples inside too."""
    made = (as_floats(p) if isinstance(p, tuple) else p.float() for p in places)
    return tuple(made) if type(places) is tuple else type(places)(*made)


def spot(head: Head, x: Tensor | float, y: Tensor | float, z: float) -> Spot:
    """x, y: (N, 1, 1) or the same for all, on the head as it looks straight ahead"""
    (yaw, yaw_sin), (pitch, pitch_sin) = head.yaw, head.pitch
    depth = z * yaw - x * yaw_sin
    return Spot(
        x * yaw + z * yaw_sin,
        y * pitch + depth * pitch_sin,
        (yaw - x / max(z, 0.3) * yaw_sin).clamp(min=0.3),
        pitch,
    )


def in_picture(head: Head, x: Tensor, y: Tensor) -> Tensor:
    """
    x, y:    (F, 1, 1) as the viewer sees them, in units
    returns: (F, 2) pixels
    """
    cos, sin = head.roll
    across, down = x * cos - y * sin, x * sin + y * cos
    return torch.cat([head.x + head.unit * across, head.y + head.unit * down], dim=-1).flatten(1)


def grid_of(head: Head, columns: Tensor, rows: Tensor) -> Grid:
    """columns: (F, 1, W) pixels, rows: (F, H, 1) pixels"""
    cos, sin = head.roll
    across, down = (columns - head.x) / head.unit, (rows - head.y) / head.unit
    return Grid(across * cos + down * sin, down * cos - across * sin)


class Patch:
    """A square of the picture around a point, to draw small things without touching every pixel."""

    def __init__(self, picture: Tensor, head: Head, spot: Spot, reach: float):
        """
        picture: (F, 3, H, W)
        reach:   units around the point
        """
        size = picture.shape[-1]
        side = min(int(2 * reach * (1 + LARGEST["size"]) * UNIT * size) + 2, size)
        middle = in_picture(head, spot.x, spot.y)
        first = (middle - side / 2).round().clamp(0, size - side).long()  # (F, 2)
        places = first[..., None] + torch.arange(side, device=picture.device)  # (F, 2, side)
        columns, rows = places[:, :1], places[:, 1:].mT
        self.picture, self.at = (
            picture,
            (torch.arange(len(picture), device=picture.device)[:, None, None], rows, columns),
        )
        self.grid = grid_of(head, columns, rows)
        frame, rows, columns = self.at
        self.pixels = picture[frame, :, rows, columns].movedim(
            -1, 1
        )  # (F, side, side, 3) -> (F, 3, side, side)

    def put_back(self) -> None:
        frame, rows, columns = self.at
        self.picture[frame, :, rows, columns] = self.pixels.movedim(1, -1)
