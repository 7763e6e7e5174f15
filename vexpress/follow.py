"""The portrait's head moves as the driving head does, each from its own rest, in its own size."""

from enum import Enum

import numpy as np
from torch import Tensor

from .pose import FULLY, Motion, Pose, motion_of, moved, points_of, pose_of


class Rest(str, Enum):
    """Which pose of the driving face stands for the portrait's."""

    PORTRAIT = "most like the portrait"
    FIRST = "first frame"
    MIDDLE = "middle of the movement"


def follow(face: Tensor, track: Tensor, rest: Rest = Rest.PORTRAIT, amounts: Motion = FULLY) -> Tensor:
    """
    face:    (3, 2) of the portrait
    track:   (F, 3, 2) of the driving video
    amounts: 0 leaves a part of the movement out, 1 follows, 2 doubles it
    returns: (F, 3, 2)
    """
    portrait, driving = pose_of(face[None], "reference"), pose_of(track, "driving")
    motion = motion_of(driving, _rest_pose(driving, portrait, rest))
    return points_of(moved(portrait, motion.times(amounts)))


def _rest_pose(driving: Pose, portrait: Pose, rest: Rest) -> Pose:
    if rest == Rest.MIDDLE:
        return Pose(*map(_median, driving))
    frame = 0 if rest == Rest.FIRST else _most_alike(driving, portrait)
    return Pose(*(part[frame] for part in driving))


def _most_alike(driving: Pose, portrait: Pose) -> int:
    """The frame with the same tilt and turn, wherever and however large the face is."""
    shapes, shape = (points_of(pose._replace(place=0 * pose.place, size=1.0)) for pose in (driving, portrait))
    return int((shapes - shape).square().sum((1, 2)).argmin())


def _median(part: np.ndarray) -> np.ndarray:
    return np.median(part.real) + 1j * np.median(part.imag) if np.iscomplexobj(part) else np.median(part)
