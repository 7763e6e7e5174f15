"""How the V-Kps of a driving track are moved onto the face of a portrait."""

import logging
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from .kps import Kps

EYES, NOSE = slice(0, 2), 2


class RetargetStrategy(str, Enum):
    FIX_FACE = "fix_face"
    NO_RETARGET = "no_retarget"
    OFFSET = "offset_retarget"
    NAIVE = "naive_retarget"


class Timing(str, Enum):
    CLOCK = "clock"
    STRETCH = "stretch"


def retarget(
    reference: Kps,
    driving: Kps | None,
    strategy: RetargetStrategy,
    frames: int = 0,
    fps: float = 30.0,
    timing: Timing = Timing.CLOCK,
    upstream_exact: bool = False,
) -> Kps:
    """
    A track in the portrait's picture; of `reference` only the first frame counts.

    frames:         0 for the whole driving track, or one frame without a driver
    upstream_exact: stretch the track, choose the pose and move the head as the reference implementation
                    does, which takes a frame that is seldom the closest and offsets the other way by half
    """
    reference = replace(reference, points=reference.points[:1], fps=fps)
    if upstream_exact:
        timing = Timing.STRETCH
    if driving is None:
        if strategy != RetargetStrategy.FIX_FACE:
            raise ValueError(f'"{strategy.value}" needs driving V-Kps; only "fix_face" works without.')
        return reference.expanded(frames or 1)
    frames = frames or _whole_track(driving, fps, timing)
    if strategy == RetargetStrategy.FIX_FACE:
        return reference.expanded(frames)
    _warn_of_bias(reference, driving)
    track = _timed(driving, frames, fps, timing)
    if strategy == RetargetStrategy.NO_RETARGET:
        return track.scaled(reference.width, reference.height)
    face = reference.points[0]
    scaled = track.points * _size_ratio(face, track.points, upstream_exact)
    if strategy == RetargetStrategy.NAIVE:
        return replace(reference, points=scaled - scaled[0, NOSE] + face[NOSE])
    moved = (scaled - scaled[0])[:, NOSE, None]  # (F, 1, 2)
    return replace(reference, points=face - moved / 2 if upstream_exact else face + moved)


def _whole_track(driving: Kps, fps: float, timing: Timing) -> int:
    if timing == Timing.STRETCH:
        return len(driving)
    return max(round(len(driving) * fps / driving.fps), 1)


def _timed(driving: Kps, frames: int, fps: float, timing: Timing) -> Kps:
    if timing == Timing.STRETCH:
        return replace(driving.interpolated(frames), fps=fps)
    return driving.resampled(frames, fps)


def _warn_of_bias(reference: Kps, driving: Kps) -> None:
    if None not in (reference.detector, driving.detector) and reference.detector != driving.detector:
        logging.warning(
            f"The reference V-Kps come from {reference.detector}, the driving V-Kps from {driving.detector}: "
            "two detectors place the points differently, so detect both with the same one."
        )


def _size_ratio(face: Tensor, track: Tensor, upstream_exact: bool) -> Tensor:
    """
    How much wider and higher the portrait's face is than the driving face in the same pose.

    face:    (3, 2)
    track:   (F, 3, 2)
    returns: (2,) for x and for y
    """
    choose = _upstream_frame if upstream_exact else _closest_frame
    frame = choose(_turn(track), _turn(face))
    ratio = torch.stack(_face_size(face)) / torch.stack(_face_size(track[frame]))
    if not (ratio.isfinite() & (ratio > 0)).all():
        raise ValueError(
            f"A face without width or height has no size to compare: reference {face.tolist()}, "
            f"driving frame {frame} {track[frame].tolist()}."
        )
    return ratio


def _turn(points: Tensor) -> Tensor:
    """
    Tells a face turned left from one turned right: how much nearer the nose is to one eye than to the other.

    points:  (..., 3, 2)
    returns: (...)
    """
    left, right = (points[..., EYES, :] - points[..., NOSE, None, :]).norm(dim=-1).unbind(-1)
    return left / (right + 1e-6)


def _closest_frame(turns: Tensor, turn: Tensor) -> int:
    return int((turns - turn).abs().argmin())


def _upstream_frame(turns: Tensor, turn: Tensor) -> int:
    """The reference implementation remembers the ratio of the frame it takes, not its distance."""
    chosen, smallest = 0, float("inf")
    for frame, distance in enumerate((turns - turn).abs().tolist()):
        if distance < smallest:
            chosen, smallest = frame, float(turns[frame])
    return chosen


class FaceSize(NamedTuple):
    width: Tensor  # from eye to eye
    height: Tensor  # from the nose to the line between the eyes, which ends at the eyes


def _face_size(points: Tensor) -> FaceSize:
    """points: (3, 2)"""
    left, right, nose = points
    across = right - left
    foot = (across @ (nose - left) / across.square().sum()).clamp(0, 1)
    return FaceSize(across.norm(), (nose - left - foot * across).norm())
