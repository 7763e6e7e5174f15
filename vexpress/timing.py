"""How smoothly, how fast and how long a driving track plays."""

from dataclasses import replace
from enum import Enum

import torch
from torch import Tensor

from .kps import MOST_FRAMES, Kps

SMOOTHING = (
    7  # frames: halves the jitter of detected tracks, moves points by half a percent of the eye distance
)
TURN_ROUND = 0.2  # seconds a ping-pong takes to slow down, and to pick up speed again
MOST_CONTINUED = 10 * MOST_FRAMES  # of a driving track that plays faster than the clip
LONGEST_FADE = 4.0  # seconds from the end of a loop into its beginning


class Timing(str, Enum):
    CLOCK = "clock"
    STRETCH = "stretch"


class ContinueBy(str, Enum):
    """What a driving track does when it ends before the clip."""

    PING_PONG = "ping-pong"
    LOOP = "loop"
    HOLD = "hold"


def smoothed(kps: Kps, window: int) -> Kps:
    """Without the jitter of detection and without lag; window: odd, an even one takes a frame more, 0 and 1 none."""
    window = min(window | 1, (len(kps) - 1) | 1)
    if window <= 3:  # a parabola through three points is the points
        return kps
    from scipy.signal import savgol_filter  # takes half of the time in which the whole pack loads

    points = savgol_filter(kps.points.double().numpy(), window, polyorder=2, axis=0, mode="interp")
    return replace(kps, points=torch.from_numpy(points))


def played(kps: Kps, frames: int, fps: float, timing: Timing, continue_by: ContinueBy) -> Kps:
    """The track at the clip's frame rate and length."""
    if timing == Timing.STRETCH:
        return replace(kps.interpolated(frames), fps=fps)
    end = (frames - 1) * kps.fps / fps
    if end >= len(kps) > 1:  # not merely within its last frame
        if end > MOST_CONTINUED:
            raise ValueError(
                f"{frames} frames at {fps:g} fps are {end:.0f} of the driving V-Kps at {kps.fps:g} fps, and "
                f"{MOST_CONTINUED} are the most."
            )
        kps = replace(kps, points=_continued(kps, int(end) + 2, continue_by))
    return kps.resampled(frames, fps)


def whole_track(kps: Kps, fps: float, timing: Timing) -> int:
    """Frames of the clip that a track fills by itself."""
    if timing == Timing.STRETCH:
        return len(kps)
    frames = max(round(len(kps) * fps / kps.fps), 1)
    if frames > MOST_FRAMES:
        raise ValueError(
            f"The driving V-Kps, {len(kps)} frames at {kps.fps:g} fps, fill {frames} frames at {fps:g} fps, and "
            f"{MOST_FRAMES} are the most."
        )
    return frames


def _continued(kps: Kps, frames: int, continue_by: ContinueBy) -> Tensor:
    if continue_by == ContinueBy.PING_PONG:
        return _ping_pong(kps.points, frames, TURN_ROUND * kps.fps)
    if continue_by == ContinueBy.LOOP:
        return _loop(kps.points, frames, round(LONGEST_FADE * kps.fps))
    return kps.points


def _ping_pong(points: Tensor, frames: int, ease: float) -> Tensor:
    """Forth and back; within `ease` frames of a turn the speed falls evenly, to nothing, and grows again."""
    last = len(points) - 1
    time = torch.arange(frames, dtype=torch.float64)
    ease = min(ease, last / 2)
    to_end = _rounded((time % (2 * last) - last).abs(), ease)
    position = torch.where(time < last, last - to_end, _rounded(last - to_end, ease))
    before = position.long().clamp(max=last - 1)
    return torch.lerp(points[before], points[before + 1], (position - before).float()[:, None, None])


def _rounded(distance: Tensor, ease: float) -> Tensor:
    """A parabola instead of the corner at 0: `ease / 2` there, and both distance and slope agree at `ease`."""
    return torch.where(distance < ease, (distance.square() + ease**2) / (2 * ease), distance)


def _loop(points: Tensor, frames: int, longest_fade: int) -> Tensor:
    """Again from the beginning, into which the end fades over the time that makes it gentlest."""
    fades = range(1, max(min(longest_fade, len(points) // 2), 1) + 1)
    seam = min((_seam(points, fade) for fade in fades), key=_roughness)
    fade = len(seam) - 2
    first = points[: len(points) - fade]
    again = torch.cat([seam[1:-1], first[fade:]])
    return torch.cat([first, again.repeat(-(-frames // len(again)), 1, 1)])[:frames]


def _seam(points: Tensor, fade: int) -> Tensor:
    """The last frame as it was, `fade` frames between both, the first as it was: (fade + 2, 3, 2)"""
    end = len(points) - fade
    time = torch.arange(fade)[:, None, None] / fade
    weight = time.square() * (3 - 2 * time)
    return torch.cat(
        [points[end - 1 : end], points[end:].lerp(points[:fade], weight), points[fade : fade + 1]]
    )


def _roughness(points: Tensor) -> float:
    """The largest step between frames, and the largest change of it."""
    steps = points.diff(dim=0)
    return float(steps.norm(dim=-1).max() + 2 * steps.diff(dim=0).norm(dim=-1).max())
