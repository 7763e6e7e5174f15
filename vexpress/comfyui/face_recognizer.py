"""Telling whether two faces are the same person's, with insightface's ArcFace."""

from collections.abc import Callable

import numpy as np
from numpy import ndarray

from ..detection import Face
from .face_detector import load_insightface
from .folders import face_recognizer_files


def load_recognizer() -> Callable[[ndarray, Face], ndarray]:
    """The embedding (E,) of a face in (H, W, 3) RGB uint8; it is turned upright by its eyes, nose and mouth."""
    arcface = load_insightface(face_recognizer_files(), "Recognising faces", "face recogniser")
    from insightface.utils.face_align import norm_crop

    def recognize(picture: ndarray, face: Face) -> ndarray:
        points = np.concatenate([face.points, face.mouth])
        bgr = np.ascontiguousarray(picture[..., ::-1])
        return arcface.get_feat(norm_crop(bgr, points, arcface.input_size[0]))[0]

    return recognize
