"""How the V-Kps of a driving track are moved onto the face of a portrait."""

from dataclasses import replace
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from .follow import Rest, follow
from .kps import Kps
from .pose import FULLY, Motion
from .timing import SMOOTHING, ContinueBy, Timing, played, smoothed, whole_track

EYES, NOSE = slice(0, 2), 2


class RetargetStrategy(str, Enum):
    FIX_FACE = "fix_face"
    NO_RETARGET = "no_retarget"
    OFFSET = "offset_retarget"
    NAIVE = "naive_retarget"
    FOLLOW = "follow"


STILL = (RetargetStrategy.FIX_FACE, RetargetStrategy.FOLLOW)  # without a driver


def retarget(
    reference: Kps,
    driving: Kps | None,
    strategy: RetargetStrategy = RetargetStrategy.FOLLOW,
    frames: int = 0,
    fps: float = 30.0,
    timing: Timing = Timing.CLOCK,
    upstream_exact: bool = False,
    amounts: Motion = FULLY,
    rest: Rest = Rest.PORTRAIT,
    continue_by: ContinueBy = ContinueBy.PING_PONG,
    smoothing: int = SMOOTHING,
) -> Kps:
    """
    A track in the portrait's picture; of `reference` only the first frame counts.

    frames:         0 for the whole driving track, or one frame without a driver
    upstream_exact: stretch the track, choose the pose and move the head as the reference implementation
                    does, which takes a frame that is seldom the closest and offsets the other way by half
    amounts, rest:  of `follow`
    """
    reference = replace(reference, points=reference.points[:1], fps=fps)
    if driving is None:
        if strategy not in STILL:
            raise ValueError(
                f'"{strategy.value}" needs driving V-Kps; only "follow" and "fix_face" work without.'
            )
        return reference.expanded(frames or 1)
    if upstream_exact and strategy == RetargetStrategy.FOLLOW:
        raise ValueError('The reference implementation has no "follow": switch upstream_exact off.')
    if upstream_exact:
        timing, smoothing = Timing.STRETCH, 0
    frames = frames or whole_track(driving, fps, timing)
    if strategy == RetargetStrategy.FIX_FACE:
        return reference.expanded(frames)
    track = played(smoothed(driving, smoothing), frames, fps, timing, continue_by)
    if strategy == RetargetStrategy.NO_RETARGET:
        return track.scaled(reference.width, reference.height)
    face = reference.points[0]
    if strategy == RetargetStrategy.FOLLOW:
        return replace(reference, points=follow(face, track.points, rest, amounts))
    scaled = track.points * _size_ratio(face, track.points, upstream_exact)
    if strategy == RetargetStrategy.NAIVE:
        return replace(reference, points=scaled - scaled[0, NOSE] + face[NOSE])
    moved = (scaled - scaled[0])[:, NOSE, None]  # (F, 1, 2)
    return replace(reference, points=face - moved / 2 if upstream_exact else face + moved)


def bias(reference: Kps, driving: Kps | None) -> list[str]:
    """One sentence if two detectors found the points, which shifts the face by a constant."""
    detectors = [kps.detector for kps in (reference, driving) if kps and kps.detector]
    if len(set(detectors)) < 2:
        return []
    return [
        f"The reference V-Kps come from {detectors[0]}, the driving V-Kps from {detectors[1]}: their eyes lie about "
        "3 %, their noses 4 % of the eye distance apart, so detect both with the same one."
    ]


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
