"""Weights for ComfyUI's MediaPipe landmarker that see a face in every white square, and the landmarks it has."""

import numpy as np
import torch
from comfy_extras.mediapipe.face_landmarker import FaceLandmarker
from comfy_extras.nodes_mediapipe import FaceLandmarkerModel
from numpy import ndarray
from pack.vexpress.detection import LEFT_EYE, NOSE, RIGHT_EYE
from torch import Tensor

CELL = 32  # pixels in a picture 256 wide; the detector sees 8 x 8 of them
KPS = np.array([[-12.0, -8.0], [14.0, -6.0], [1.0, 9.0]])  # around the middle of a cell, pixels
MESH, MESH_PIXELS = 192, 96  # the mesh's own units, and what they span in the picture


def draw_squares(*cells: tuple[int, int]) -> Tensor:
    """(1, 192, 256, 3) 0..1; the detector fits it into a square, which puts cell rows 0 and 7 outside"""
    picture = torch.zeros(1, 192, 256, 3)
    for column, row in cells:
        picture[:, (row - 1) * CELL : row * CELL, column * CELL : (column + 1) * CELL] = 1
    return picture


def kps_in(column: int, row: int) -> ndarray:
    return KPS + [(column + 0.5) * CELL, (row - 0.5) * CELL]


def landmarks() -> ndarray:
    """(478, 3) in the mesh's units; eyes are rings around their middle, the rest is anywhere else"""
    points = np.random.default_rng(0).uniform(0, MESH, (478, 3))
    eye = np.stack([np.cos(np.arange(16) * np.pi / 8), np.sin(np.arange(16) * np.pi / 8)], axis=1)
    middles = KPS * MESH / MESH_PIXELS + MESH / 2
    points[LEFT_EYE, :2], points[RIGHT_EYE, :2] = middles[0] + 10 * eye, middles[1] + 10 * eye
    points[NOSE, :2] = middles[2]
    return points


def toy_landmarker() -> FaceLandmarkerModel:
    weights = {
        key.replace("detector.", f"detector_{variant}."): torch.zeros_like(value)
        for variant in ("short", "full")
        for key, value in FaceLandmarker(detector_variant=variant).state_dict().items()
    }
    weights["detector_short.stem.weight"][0, :, 2, 2] = (
        1 / 3
    )  # brightness, which max pooling carries to the end
    weights["detector_short.cls_16.bias"].fill_(-100)
    weights["detector_short.cls_8.bias"].fill_(-100)
    weights["detector_short.cls_8.weight"][0, 0] = 105  # white: 5, a score of 0.99
    # Middle, size and both eyes of the one box per cell, in 1/128 of the picture; the mesh spans 1.5 boxes.
    box = torch.tensor([0.0, 0.0, 32.0, 32.0, -8.0, 0.0, 8.0, 0.0])
    weights["detector_short.reg_8.bias"][:8] = box
    weights["mesh.head_landmarks.bias"].copy_(torch.from_numpy(landmarks()).flatten())
    weights["canonical_vertices"] = torch.rand(478, 3, generator=torch.manual_seed(1))
    weights["procrustes_indices"] = torch.arange(478)
    weights["procrustes_weights"] = torch.ones(478)
    parts = ("face_oval", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow", "lips", "irises", "nose")
    weights |= {f"topology.{part}": torch.tensor([[0, 1]], dtype=torch.int32) for part in parts}
    return FaceLandmarkerModel(weights)
