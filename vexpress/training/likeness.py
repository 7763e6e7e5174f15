"""Who is drawn? What tells people apart, learnt from several pictures of each: linear discriminant analysis."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

ACROSS, DOWN = (-1.0, 1.0), (-1.6, 0.7)  # eye distances from between the eyes: from the hairline to the nose
GRID = 12
POOL = 4  # pixels that make one, so that the grid misses nothing between its points
NOISE = 1e-3  # variance added, lest what hardly varies in the pictures learnt from counts for most


class Likeness(NamedTuple):
    """Faces times this differ by about 1 from picture to picture of one person: (3*GRID*GRID, 3*GRID*GRID)"""

    whitening: Tensor

    def of(self, images: Tensor, kps: Tensor) -> Tensor:
        """
        images: (B, 3, H, H) 0..1
        kps:    (B, 3, 2) in pixels
        returns (B, 3*GRID*GRID), near each other for pictures of one person
        """
        return faces(images, kps) @ self.whitening


def learn_likeness(images: Tensor, kps: Tensor) -> Likeness:
    """
    images: (people, pictures of each, 3, H, H) 0..1
    kps:    (people, pictures of each, 3, 2) in pixels
    """
    seen = faces(images.flatten(0, 1), kps.flatten(0, 1)).unflatten(0, images.shape[:2])
    within = (seen - seen.mean(1, keepdim=True)).flatten(0, 1)
    covariance = within.T @ within / len(within) + NOISE * torch.eye(within.shape[1])
    return Likeness(torch.linalg.inv(torch.linalg.cholesky(covariance)).T)


def faces(images: Tensor, kps: Tensor) -> Tensor:
    """Without the mouth, upright and of one size: (B, 3*GRID*GRID)"""
    left, right = kps[:, 0], kps[:, 1]
    x = right - left
    y = torch.stack([-x[:, 1], x[:, 0]], dim=1)
    across = torch.linspace(*ACROSS, GRID)[None, None, :, None] * x[:, None, None]
    down = torch.linspace(*DOWN, GRID)[None, :, None, None] * y[:, None, None]
    grid = ((left + right) / 2)[:, None, None] + across + down  # (B, GRID, GRID, 2)
    seen = F.grid_sample(
        F.avg_pool2d(images, POOL, 1, POOL // 2, count_include_pad=False),
        (grid + 0.5) / images.shape[-1] * 2 - 1,
        padding_mode="border",
        align_corners=False,
    )
    return seen.flatten(1)
