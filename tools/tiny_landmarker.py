"""
A face landmark model for ComfyUI's MediaPipe nodes that sees the same face in every picture: its last layers
have no weights, only biases. What lies before them may hold anything.
"""

import math

import torch
from torch import Tensor

from ..vexpress.detection import LEFT_EYE, NOSE, RIGHT_EYE

MESH = 192  # the mesh's units across its part of the picture
MESH_BOXES = 1.5  # the box a face was detected in spans that much of the mesh
LANDMARKS = 478
EYE_RADIUS = 0.1  # of the eye distance
CERTAIN = 5.0  # before the sigmoid
WIDE = 8.0  # boxes that all overlap by more than half, wherever their anchors lie, so that they melt into one
PARTS = ("face_oval", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow", "lips", "irises", "nose")


def tiny_landmarker(points: Tensor, box: float = WIDE) -> dict[str, Tensor]:
    """
    The picture is fitted into a square, whose side is 1.

    points: (3, 2) left eye, right eye, nose; x, y from the middle of the box
    box:    its side; one is detected around every anchor, and a wide one is in the middle of the square at last
    """
    mesh = _mesh(points / (MESH_BOXES * box) * MESH + MESH / 2)
    weights = _last_layer("mesh.head_landmarks", mesh.flatten(), inputs=8, kernel=3)
    weights |= _last_layer("detector_short.cls_16", torch.full((2,), CERTAIN), inputs=88)
    weights |= _last_layer("detector_short.cls_8", torch.full((6,), CERTAIN), inputs=96)
    weights |= _last_layer("detector_short.reg_16", _box(box, pixels=128).repeat(2), inputs=88)
    weights |= _last_layer("detector_short.reg_8", _box(box, pixels=128).repeat(6), inputs=96)
    weights |= _last_layer("detector_full.cls_dw", torch.full((4,), CERTAIN), inputs=1, kernel=3)
    weights |= _last_layer("detector_full.reg_dw", _box(box, pixels=192).repeat(4), inputs=1, kernel=3)
    weights["canonical_vertices"] = mesh.clone()
    weights["procrustes_indices"] = torch.arange(LANDMARKS)
    weights["procrustes_weights"] = torch.ones(LANDMARKS)
    return weights | {f"topology.{part}": torch.tensor([[0, 1]], dtype=torch.int32) for part in PARTS}


def _last_layer(name: str, bias: Tensor, inputs: int, kernel: int = 1) -> dict[str, Tensor]:
    weight = torch.zeros(len(bias), inputs, kernel, kernel)
    return {f"{name}.weight": weight, f"{name}.bias": bias}


def _box(side: float, pixels: int) -> Tensor:
    """(16,) middle, size, and six points, of which only the eyes count: level ones"""
    eyes = [-side / 4, 0.0, side / 4, 0.0]
    return torch.tensor([0.0, 0.0, side, side, *eyes, *[0.0] * 8]) * pixels


def _mesh(points: Tensor) -> Tensor:
    """(478, 3) eyes are rings around their middle, all else is somewhere around the nose"""
    left_eye, right_eye, nose = points
    distance = (right_eye - left_eye).norm()
    mesh = distance / 2 * torch.randn(LANDMARKS, 3, generator=torch.Generator().manual_seed(0))
    mesh[:, :2] += nose
    angles = torch.arange(16) * math.tau / 16
    ring = EYE_RADIUS * distance * torch.stack([angles.cos(), angles.sin()], dim=1)
    mesh[LEFT_EYE, :2], mesh[RIGHT_EYE, :2], mesh[NOSE, :2] = left_eye + ring, right_eye + ring, nose
    return mesh
