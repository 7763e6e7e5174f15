"""Draws V-Kps as the checkpoints saw them in training: pixel for pixel what OpenCV makes of them."""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from .kps import Kps
from .pictures import rgb

RED, GREEN, BLUE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
LIMB_BRIGHTNESS = 0.6
HALF_STICK = 4  # pixels at any picture size, as trained
DISC_ROWS = ((-4, 0), (-3, 2), (-2, 3), (-1, 3), (0, 4), (1, 3), (2, 3), (3, 2), (4, 0))  # y, half width

DEGREES = np.arange(361)
SIN = np.round(np.sin(np.radians(DEGREES)), 7).astype(np.float32)  # OpenCV's table has seven decimals
COS = np.round(np.cos(np.radians(DEGREES)), 7).astype(np.float32)
FRACTION_BITS = 16  # of the fixed-point x while a polygon is filled


def draw_kps(points: Tensor, width: int, height: int) -> Tensor:
    """
    A "V" from both eyes to the nose and a disc on each point, on black.

    points:  (F, 3, 2) left eye, right eye, nose; x, y in pixels
    returns: (F, H, W, 3) RGB, uint8
    """
    images = torch.zeros(len(points), height, width, 3, dtype=torch.uint8)
    for image, frame in zip(images.numpy(), points.detach().float().cpu().numpy(), strict=True):
        drawn, values = _drawing(frame.tobytes(), width, height)
        image.reshape(-1)[drawn] = values
    return images


@lru_cache(maxsize=2048)  # some 7 kB each at 512 pixels; every window and step draws its frames again
def _drawing(points: bytes, width: int, height: int) -> tuple[ndarray, ndarray]:
    """
    points:  (3, 2) float32
    returns: where the picture's bytes are not zero, and what they are, each (N,)
    """
    image = np.zeros((height, width, 3), dtype=np.uint8)
    _draw_frame(image, np.frombuffer(points, dtype=np.float32).reshape(3, 2))
    rows = image.reshape(height, -1)
    filled = np.flatnonzero(rows.max(1))
    row, place = rows[filled].nonzero()
    drawn = (filled[row] * rows.shape[1] + place).astype(np.int32)
    return drawn, image.reshape(-1)[drawn]


def draw_over(kps: Kps, background: Tensor | None = None) -> Tensor:
    """
    V-Kps on black, or in front of one picture for all frames or one for each.

    background: (1 or F, H, W, C) 0..1
    returns:    (F, H, W, 3) 0..1
    """
    if background is None:
        background = torch.zeros(1, kps.height, kps.width, 3)
    background = rgb(background, "background")
    height, width = background.shape[1:3]
    frames = max(len(kps), len(background))
    if len(background) not in (1, frames):
        raise ValueError(f"{len(background)} background pictures do not fit {frames} frames of V-Kps.")
    images = background.float().expand(frames, -1, -1, -1).clone()
    points = kps.scaled(width, height).expanded(frames).points
    for image, frame in zip(images, points, strict=True):  # one at a time: the clip alone may fill the memory
        drawn = draw_kps(frame[None], width, height)[0].to(image.device)
        seen = (drawn > 0).any(-1)
        image[seen] = drawn[seen].float() / 255
    return images


def _draw_frame(image: ndarray, points: ndarray) -> None:
    """
    image:  (H, W, 3) black
    points: (3, 2)
    """
    left_eye, right_eye, nose = points
    _draw_limb(image, left_eye, nose, (RED * LIMB_BRIGHTNESS).astype(np.uint8))
    _draw_limb(image, right_eye, nose, (GREEN * LIMB_BRIGHTNESS).astype(np.uint8))
    for point, colour in zip(points, (RED, GREEN, BLUE), strict=True):
        _draw_disc(image, int(point[0]), int(point[1]), colour)


def _draw_disc(image: ndarray, x: int, y: int, colour: ndarray) -> None:
    height, width = image.shape[:2]
    for dy, half in DISC_ROWS:
        if 0 <= y + dy < height and x + half >= 0:
            image[y + dy, max(x - half, 0) : x + half + 1] = colour


def _draw_limb(image: ndarray, eye: ndarray, nose: ndarray, colour: ndarray) -> None:
    """A thin filled ellipse between two points: the inside row by row, then the outline edge by edge."""
    height, width = image.shape[:2]
    polygon = _limb_polygon(eye, nose)
    lowest, highest = polygon.min(0), polygon.max(0)
    if (highest < 0).any() or (lowest >= (width, height)).any():
        return
    if lowest[1] < highest[1]:
        _fill(image, polygon, colour)
    x, y = _line_pixels(*_clipped(np.roll(polygon, 1, axis=0), polygon, width, height))
    image[y, x] = colour


def _limb_polygon(eye: ndarray, nose: ndarray) -> ndarray:
    """
    eye, nose: (2,)
    returns:   (N, 2) int64, an ellipse in steps of one degree, neighbours differ
    """
    dx, dy = eye - nose
    half_length = int((dx**2 + dy**2) ** 0.5 / 2)
    angle = int(math.degrees(math.atan2(dy, dx)))
    cos, sin = (float(table[angle % 360]) for table in (COS, SIN))
    centre_x, centre_y = (int(c) for c in (eye + nose) / 2)
    along, across = half_length * COS.astype(np.float64), HALF_STICK * SIN.astype(np.float64)
    x = centre_x + along * cos - across * sin
    y = centre_y + along * sin + across * cos
    polygon = np.rint(np.stack([x, y], axis=1)).astype(np.int64)
    return polygon[np.append(True, (np.diff(polygon, axis=0) != 0).any(1))]


def _fill(image: ndarray, polygon: ndarray, colour: ndarray) -> None:
    """What lies between the two sides of a convex polygon (N, 2), row by row."""
    height, width = image.shape[:2]
    down = np.roll(polygon, -polygon[:, 1].argmin(), axis=0)
    up = np.roll(down[::-1], 1, axis=0)
    top, bottom = down[0, 1].clip(0), down[:, 1].max().clip(max=height - 1)
    rows = np.arange(top, bottom + 1)
    sides = np.stack([_side(down, rows), _side(up, rows)])
    sides = (sides + (1 << FRACTION_BITS - 1)) >> FRACTION_BITS  # rounded
    first, last = sides.min(0).clip(0, width), sides.max(0).clip(-1, width - 1)
    box = image[top : bottom + 1, first.min() : last.max() + 1]
    columns = np.arange(first.min(), first.min() + box.shape[1])
    box[(first[:, None] <= columns) & (columns <= last[:, None])] = colour


def _side(chain: ndarray, rows: ndarray) -> ndarray:
    """
    chain:   (N, 2) the polygon's points from its highest one on; only the way down counts
    rows:    (R,)
    returns: (R,) where that side crosses each row, x in fixed point
    """
    chain = chain[: chain[:, 1].argmax() + 1]
    falls = np.diff(chain[:, 1]) > 0
    (x0, y0), (x1, y1) = chain[:-1][falls].T, chain[1:][falls].T
    double_run, rise = (x1 - x0 << FRACTION_BITS) * 2, y1 - y0
    slope = np.trunc((double_run + rise) / (2 * rise)).astype(np.int64)
    edge = np.searchsorted(y0, rows, side="right") - 1
    return (x0 << FRACTION_BITS)[edge] + slope[edge] * (rows - y0[edge])


def _clipped(start: ndarray, end: ndarray, width: int, height: int) -> tuple[ndarray, ndarray]:
    """Edges cut to the picture, those outside dropped; start, end: (N, 2)."""
    for axis, last in ((1, height - 1), (0, width - 1)):
        a, b = start[:, axis], end[:, axis]
        keep = (np.maximum(a, b) >= 0) & (np.minimum(a, b) <= last)
        start, end = start[keep], end[keep]
        _move_to_border(start, end, axis, last)
        _move_to_border(end, start, axis, last)
    return start, end


def _move_to_border(moving: ndarray, other: ndarray, axis: int, last: int) -> None:
    border = moving[:, axis].clip(0, last)
    out = border != moving[:, axis]
    run = (other - moving)[out]
    aside = (border - moving[:, axis])[out].astype(np.float64) * run[:, 1 - axis] / run[:, axis]
    moving[out, 1 - axis] += np.trunc(aside).astype(np.int64)
    moving[out, axis] = border[out]


def _line_pixels(start: ndarray, end: ndarray) -> tuple[ndarray, ndarray]:
    """
    Bresenham, from left to right, all edges at once.

    start, end: (N, 2)
    returns:    x (P,), y (P,)
    """
    swap = (start[:, 0] > end[:, 0])[:, None]
    start, end = np.where(swap, end, start), np.where(swap, start, end)
    run = end - start
    length, minor = np.abs(run).max(1), np.abs(run).min(1)
    edge = np.repeat(np.arange(len(run)), length + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(length + 1) - length - 1, length + 1)
    length, minor = length[edge], minor[edge]
    aside = (2 * minor * step + length - 1) // np.maximum(2 * length, 1)
    steep = np.abs(run[:, 1]) > np.abs(run[:, 0])
    sign = np.sign(run)
    offset = np.where(steep[edge], [aside, step], [step, aside]).T * sign[edge]
    return tuple((start[edge] + offset).T)
