"""Shapes as signed distances, negative inside, and paint on them: batched, antialiased, the same on any batch.

Pixels are only added, multiplied, divided, compared and rooted: operations that are exact to the last bit, so a frame
comes out the same whatever is drawn beside it.
"""

import torch
from torch import Tensor

TINY = 1e-6


def ellipse(x: Tensor, y: Tensor, half_width: Tensor | float, half_height: Tensor | float) -> Tensor:
    """Around the origin; the distance is that of first order, right at the edge."""
    across, along = x / half_width, y / half_height
    slope = ((across / half_width) ** 2 + (along / half_height) ** 2).sqrt()
    return (across**2 + along**2 - 1) / (2 * slope + TINY)


def lens(
    x: Tensor, y: Tensor, half_width: Tensor | float, above: Tensor, below: Tensor, full: Tensor | float = 0.0
) -> Tensor:
    """Between two curves that meet at (-half_width, 0) and (half_width, 0): an eye, a mouth or a tapered line.

    full: 0 for parabolas, 1 for fuller curves, of the fourth degree
    """
    across = x / half_width
    square = across**2
    height = 1 - square * (1 + full * (square - 1))
    slope = 2 * across * (1 + full * (2 * square - 1)) / half_width * torch.maximum(above.abs(), below.abs())
    distance = torch.maximum(-above * height - y, y - below * height) / (1 + slope**2).sqrt()
    return torch.maximum(distance, x.abs() - half_width)


def waves(place: Tensor) -> Tensor:
    """Bows from 0 to 1 and back, one for each unit of place."""
    part = place - place.floor()
    return 4 * part * (1 - part)


def merged(a: Tensor, b: Tensor, roundness: Tensor | float) -> Tensor:
    """Both shapes as one, without a crease where they meet."""
    near = (roundness - (a - b).abs()).clamp(min=0)
    return torch.minimum(a, b) - near * near / (4 * roundness)


def cover(distance: Tensor, pixels: Tensor) -> Tensor:
    """The share of each pixel that is inside; pixels: per unit of distance"""
    return (0.5 - distance * pixels).clamp(0, 1)


def soft(distance: Tensor, width: Tensor | float) -> Tensor:
    """From 1 to 0 across an edge that is as wide as a shadow's."""
    near = (0.5 - distance / width).clamp(0, 1)
    return near * near * (3 - 2 * near)


def paint(picture: Tensor, colour: Tensor, share: Tensor) -> None:
    """
    picture: (F, 3, H, W) changed
    colour:  (1 or F, 3, 1, 1)
    share:   (F, H, W) 0..1
    """
    picture += share[:, None] * (colour - picture)
