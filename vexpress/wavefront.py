"""The order in which a long clip is denoised: only a band of its frames is alive at once.

A window is ready at a step once all its frames have reached that step, so the first frames can be finished while the
last ones have not begun. Each evaluation takes the most denoised window that is ready. The numbers are those of the plain
loop, which takes every window of a step before the next step: each frame's sums have the same terms in the same order.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor


class Span(NamedTuple):
    """One context window: frames start…stop-1, of which those before `done` lie in no later window."""

    start: int
    stop: int
    done: int


def spans(num_frames: int, length: int, overlap: int) -> list[Span]:
    """Windows of `length` frames that share `overlap`; the last is pulled back to end with the clip."""
    last = max(num_frames - length, 0)
    starts = [*range(0, last, length - overlap), last]
    ends = [*starts[1:], num_frames]
    return [
        Span(start, min(start + length, num_frames), done) for start, done in zip(starts, ends, strict=True)
    ]


class Partial(NamedTuple):
    """What windows have predicted so far for frames that later windows share.

    sums:   per cond, (f, 4, h, w)
    counts: (f, 1, 1, 1) windows in the sums
    """

    sums: tuple[Tensor, ...] = ()
    counts: Tensor | None = None

    def plus(self, predictions: list[Tensor]) -> "Partial":
        """predictions: per cond, (f, 4, h, w) of the next window, which starts where these sums start"""
        ones = torch.ones_like(predictions[0][:, :1, :1, :1])
        if not self.sums:
            return Partial(tuple(p.clone() for p in predictions), ones)
        known = len(self.counts)
        sums = [torch.cat([s + p[:known], p[known:]]) for s, p in zip(self.sums, predictions, strict=True)]
        return Partial(tuple(sums), torch.cat([self.counts + ones[:known], ones[known:]]))

    def mean(self, frames: int) -> list[Tensor]:
        return [s[:frames] / self.counts[:frames] for s in self.sums]

    def after(self, frames: int) -> "Partial":
        """What is left once the first `frames` are complete."""
        if frames >= len(self.counts):
            return Partial()
        return Partial(tuple(s[frames:] for s in self.sums), self.counts[frames:])

    def to(self, device: torch.device) -> "Partial":
        if self.counts is None:
            return self
        return Partial(tuple(s.to(device) for s in self.sums), self.counts.to(device))


Partials = tuple[Partial, ...]  # one for each time that guidance asks the model about a window; most ask once


@dataclass(frozen=True)
class Row:
    """The frames that wait at one noise level, from frame `start` on, and the window that takes them next."""

    frames: tuple[Tensor, ...] = ()  # each (f, 4, h, w)
    start: int = 0
    window: int = 0
    partials: Partials = ()

    @property
    def stop(self) -> int:
        return self.start + sum(len(frames) for frames in self.frames)

    def fed(self, frames: Tensor) -> "Row":
        return replace(self, frames=(*self.frames, frames))

    def to(self, device: torch.device) -> "Row":
        frames = tuple(part.to(device) for part in self.frames)
        return replace(self, frames=frames, partials=tuple(partial.to(device) for partial in self.partials))


class Denoiser(NamedTuple):
    """What a band asks of a model.

    source:   start, stop -> the pure noise of these frames
    evaluate: step, window, its frames, partials -> the denoised frames start…done-1, partials with this window's
    advance:  step, frames, denoised -> the frames at the next level
    """

    source: Callable[[int, int], Tensor]
    evaluate: Callable[[int, Span, Tensor, Partials], tuple[Tensor, Partials]]
    advance: Callable[[int, Tensor, Tensor], Tensor]


class Band:
    """All noise levels of a clip. What a denoiser raises leaves it as it was before that evaluation."""

    def __init__(self, windows: list[Span], steps: int):
        self.windows, self.steps = windows, steps
        self.rows = [Row() for _ in range(steps + 1)]  # the last holds what is finished and not released

    @property
    def num_frames(self) -> int:
        return self.windows[-1].stop

    @property
    def finished(self) -> int:
        """Frames, released ones too."""
        return self.rows[-1].stop

    @property
    def released(self) -> int:
        return self.rows[-1].start

    @property
    def evaluations(self) -> int:
        return sum(row.window for row in self.rows)

    @property
    def evaluations_in_all(self) -> int:
        return len(self.windows) * self.steps

    def finished_frames(self) -> Tensor:
        """Those not released yet: (f, 4, h, w)"""
        return torch.cat(self.rows[-1].frames)

    def release(self) -> None:
        """Forget the finished frames: whoever wanted them has them."""
        self.rows[-1] = Row(start=self.finished)

    def next_window(self, denoiser: Denoiser) -> None:
        """Evaluate one window."""
        step = max((s for s in range(self.steps) if self._ready(s)), default=0)
        row = self.rows[step]
        span = self.windows[row.window]
        if not self._ready(step):  # step 0: noise enters
            row = row.fed(denoiser.source(row.stop, span.stop))
            self.rows[0] = row
        frames = torch.cat(row.frames)
        complete = span.done - span.start
        denoised, partials = denoiser.evaluate(step, span, frames[: span.stop - span.start], row.partials)
        advanced = denoiser.advance(step, frames[:complete], denoised)
        left = tuple(partial.after(complete) for partial in partials)
        self.rows[step] = Row((frames[complete:],), span.done, row.window + 1, left)
        self.rows[step + 1] = self.rows[step + 1].fed(advanced)

    def _ready(self, step: int) -> bool:
        row = self.rows[step]
        return row.window < len(self.windows) and row.stop >= self.windows[row.window].stop
