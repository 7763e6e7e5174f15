"""From the faces that a detector finds in every frame to the V-Kps of one of them."""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from .kps import Kps

# MediaPipe's mesh, as insightface would place V-Kps: over 5651 frames these lie about 3 % (eyes) and 4 % (nose) of
# the eye distance beside insightface's, mostly by a constant offset.
LEFT_EYE = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
RIGHT_EYE = [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
NOSE = 4


class FaceChoice(str, Enum):
    LARGEST = "largest"
    CENTRAL = "central"
    LEFTMOST = "leftmost"
    NEAREST = "nearest"


class Selection(NamedTuple):
    """
    Which face to follow, and over how many frames without it.

    index: how many faces to skip from the left; only for FaceChoice.LEFTMOST
    """

    choice: FaceChoice = FaceChoice.LARGEST
    index: int = 0
    max_gap: int = 0


REMEDIES = {
    "insightface": "lower min_score, or crop the picture nearer to the face",
    "mediapipe": "in Detect Face Landmarks set detector_variant to both and num_faces to 0, and lower min_confidence",
}


class Face(NamedTuple):
    """
    points: (3, 2) left eye, right eye, nose; x, y in pixels
    box:    (4,) left, top, right, bottom
    mouth:  (2, 2) its corners, from detectors that find them
    """

    points: ndarray
    box: ndarray
    mouth: ndarray | None = None

    @property
    def centre(self) -> ndarray:
        return (self.box[:2] + self.box[2:]) / 2

    @property
    def size(self) -> ndarray:
        return self.box[2:] - self.box[:2]

    def distance(self, point: ndarray) -> float:
        return float(np.linalg.norm(self.centre - point))


class Picture(NamedTuple):
    width: int
    height: int


class Followed(NamedTuple):
    """filled: (F,) bool, frames without the face, whose points lie on a line between their neighbours"""

    kps: Kps
    filled: Tensor

    @property
    def notes(self) -> list[str]:
        """One sentence, if there is something to say."""
        if not self.filled.any():
            return []
        return [
            f"{int(self.filled.sum())} of {len(self.kps)} frames do not show the face, the first is frame "
            f"{int(self.filled.nonzero()[0])}; their V-Kps are filled in from the frames around them."
        ]


def follow_face(
    frames: Iterable[list[Face]], selection: Selection, picture: Picture, fps: float, detector: str
) -> Followed:
    """Raises ValueError where the face is missing, in all frames or in more in a row than max_gap allows."""
    choose = FaceChooser(selection, picture)
    found = [None if face is None else face.points for face in map(choose, frames)]
    if not choose.met:
        where = "the picture" if len(found) == 1 else f"any of the {len(found)} frames"
        raise ValueError(f"No face was found in {where}: {REMEDIES[detector]}.")
    if choose.previous is None:
        most = "1 face" if choose.met == 1 else f"{choose.met} faces"
        raise ValueError(
            f"index is {selection.index}, counted from 0, but no frame shows more than {most}: "
            f"lower it, or {REMEDIES[detector]}."
        )
    points = torch.from_numpy(fill_gaps(found, selection.max_gap))
    filled = torch.tensor([points is None for points in found])
    return Followed(Kps(points, *picture, fps, detector), filled)


class FaceChooser:
    """The face to follow among those of each frame, from the first frame on."""

    def __init__(self, selection: Selection, picture: Picture):
        self.selection, self.picture = selection, picture
        self.previous: Face | None = None
        self.met = 0  # faces in one frame, at most

    def __call__(self, faces: list[Face]) -> Face | None:
        self.met = max(self.met, len(faces))
        face = _choose(faces, self.selection, self.picture, self.previous)
        self.previous = face or self.previous
        return face


def face_of_landmarks(face: dict) -> Face:
    """Of one of the faces in a frame of ComfyUI's FACE_LANDMARKS."""
    mesh = face["landmarks_xy"]  # (478, 2)
    points = np.stack([mesh[LEFT_EYE].mean(0), mesh[RIGHT_EYE].mean(0), mesh[NOSE]])
    return Face(points, face["bbox_xyxy"])


def _choose(faces: list[Face], selection: Selection, picture: Picture, previous: Face | None) -> Face | None:
    if not faces:
        return None
    if selection.choice == FaceChoice.LEFTMOST:
        from_left = sorted(faces, key=lambda face: face.centre[0])
        return from_left[selection.index] if selection.index < len(faces) else None
    if selection.choice == FaceChoice.CENTRAL:
        return min(faces, key=lambda face: face.distance(np.array(picture) / 2))
    if selection.choice == FaceChoice.LARGEST or previous is None:
        return max(faces, key=lambda face: face.size.prod())
    nearest = min(faces, key=lambda face: face.distance(previous.centre))
    # No head moves by more than its own size: that is somebody else.
    return nearest if nearest.distance(previous.centre) <= previous.size.max() else None


def fill_gaps(found: list[ndarray | None], max_gap: int) -> ndarray:
    """
    found:   per frame (P, 2) points, or None without the face
    returns: (F, P, 2)
    """
    frames = range(len(found))
    known = [frame for frame in frames if found[frame] is not None]
    if not known:
        raise ValueError(f"0 of {len(found)} frames show the face that was asked for.")
    for before, after in zip([-1, *known], [*known, len(found)], strict=True):
        gap = after - before - 1
        if gap > max_gap:
            raise ValueError(
                f"The face that was asked for is missing from frame {before + 1} to frame {after - 1}: {gap} in a row, "
                f"while max_gap lets {max_gap} be filled in."
            )
    points = np.stack([found[frame] for frame in known])
    tracks = points.reshape(len(known), -1).T  # (F, P, 2) -> (2*P, F)
    full = np.stack([np.interp(frames, known, track) for track in tracks], axis=1)
    return full.reshape(-1, *points.shape[1:])  # (F, 2*P) -> (F, P, 2)
