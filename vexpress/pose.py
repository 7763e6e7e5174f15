"""A face as where it is, how it is tilted, how large it is and how it is turned; and how these move."""

from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

# A head turned to the side by t has its eyes closer together by cos t, and its nose aside by tan t / sqrt(2) eye
# distances: of all such factors this one makes the size of eight real faces that turn most constant.
NARROWING = 2.0


class Pose(NamedTuple):
    """Each (F,); complex numbers are x + iy."""

    place: ndarray  # complex, middle of the eyes in pixels
    roll: ndarray  # radians from the horizontal, without jumps
    size: ndarray  # pixels from eye to eye, were the head not turned to the side
    turn: ndarray  # complex, the nose seen from the middle of the eyes: along and below their line, in eye distances


class Motion(NamedTuple):
    """How far a face is from its rest; each (F,), or what to multiply it with."""

    translation: ndarray | float  # complex, in sizes of the face
    rotation: ndarray | float  # radians
    scale: ndarray | float  # logarithm
    turn: ndarray | float  # complex, in eye distances

    def times(self, amounts: "Motion") -> "Motion":
        return Motion(*(part * amount for part, amount in zip(self, amounts, strict=True)))


FULLY = Motion(1.0, 1.0, 1.0, 1.0)  # amounts


def pose_of(points: Tensor, name: str) -> Pose:
    """
    points: (F, 3, 2) left eye, right eye, nose
    name:   of the V-Kps, for the error
    """
    left, right, nose = torch.view_as_complex(points.double().contiguous()).numpy().T
    across, place = right - left, (left + right) / 2
    if not across.all():
        frame = int(np.flatnonzero(across == 0)[0])
        raise ValueError(
            f"Frame {frame} of the {name} V-Kps has both eyes at one point, so the face has no size."
        )
    turn = (nose - place) / across
    return Pose(place, np.unwrap(np.angle(across)), np.abs(across) * _widening(turn), turn)


def points_of(pose: Pose) -> Tensor:
    """returns: (F, 3, 2) float32"""
    across = pose.size / _widening(pose.turn) * np.exp(1j * pose.roll)
    points = np.stack(
        [pose.place - across / 2, pose.place + across / 2, pose.place + pose.turn * across], axis=-1
    )
    return torch.view_as_real(torch.from_numpy(points)).float()


def motion_of(pose: Pose, rest: Pose) -> Motion:
    return Motion(
        (pose.place - rest.place) / rest.size,
        pose.roll - rest.roll,
        np.log(pose.size / rest.size),
        pose.turn - rest.turn,
    )


def moved(rest: Pose, motion: Motion) -> Pose:
    return Pose(
        rest.place + motion.translation * rest.size,
        rest.roll + motion.rotation,
        rest.size * np.exp(motion.scale),
        rest.turn + motion.turn,
    )


def _widening(turn: ndarray) -> ndarray:
    return np.sqrt(1 + NARROWING * turn.real**2)
