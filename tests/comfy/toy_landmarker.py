"""Weights for ComfyUI's MediaPipe landmarker that see a face in every white square."""

import numpy as np
import torch
from comfy_extras.mediapipe.face_landmarker import FaceLandmarker
from comfy_extras.nodes_mediapipe import FaceLandmarkerModel
from numpy import ndarray
from pack.tools.tiny_landmarker import tiny_landmarker
from torch import Tensor

CELL = 32  # pixels in a picture 256 wide; the detector sees 8 x 8 of them
KPS = np.array([[-12.0, -8.0], [14.0, -6.0], [1.0, 9.0]])  # around the middle of a cell, pixels


def draw_squares(*cells: tuple[int, int]) -> Tensor:
    """(1, 192, 256, 3) 0..1; the detector fits it into a square, which puts cell rows 0 and 7 outside"""
    picture = torch.zeros(1, 192, 256, 3)
    for column, row in cells:
        picture[:, (row - 1) * CELL : row * CELL, column * CELL : (column + 1) * CELL] = 1
    return picture


def kps_in(column: int, row: int) -> ndarray:
    return KPS + [(column + 0.5) * CELL, (row - 0.5) * CELL]


def toy_landmarker() -> FaceLandmarkerModel:
    weights = {
        key.replace("detector.", f"detector_{variant}."): torch.zeros_like(value)
        for variant in ("short", "full")
        for key, value in FaceLandmarker(detector_variant=variant).state_dict().items()
    }
    weights |= tiny_landmarker(torch.from_numpy(KPS).float() / 256, box=0.25)
    # Brightness, which max pooling carries to the end, lets one anchor of a white cell score 0.99, others nothing.
    weights["detector_short.stem.weight"][0, :, 2, 2] = 1 / 3
    weights["detector_short.cls_16.bias"].fill_(-100)
    weights["detector_short.cls_8.bias"].fill_(-100)
    weights["detector_short.cls_8.weight"][0, 0] = 105
    return FaceLandmarkerModel(weights)
