"""The order in which a long clip is denoised: only a band of its frames is alive at once.

A window is ready at a step once all its frames have reached that step, so the first frames can be finished while the
last ones have not begun. Each evaluation takes the most denoised window that is ready. The numbers are those of the plain
loop, which takes every window of a step before the next step: each frame's sums have the same terms in the same order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Row:
    """The frames that wait at one noise level, from frame `start` on, and the window that takes them next."""

    frames: tuple[Tensor, ...] = ()  # each (f, 4, h, w)
    start: int = 0
    window: int = 0
    partial: Partial = field(default_factory=Partial)

    @property
    def stop(self) -> int:
        return self.start + sum(len(frames) for frames in self.frames)

    def fed(self, frames: Tensor) -> "Row":
        return Row((*self.frames, frames), self.start, self.window, self.partial)


Source = Callable[[int, int], Tensor]  # start, stop -> pure noise of these frames
Evaluate = Callable[[int, Span, Tensor, Partial], tuple[Tensor, Partial]]  # -> denoised frames start…done-1
Advance = Callable[[int, Tensor, Tensor], Tensor]  # step, frames, denoised -> the frames at the next level


class Band:
    """All noise levels of a clip. What its three callbacks raise leaves it as it was before that evaluation."""

    source: Source
    evaluate: Evaluate
    advance: Advance

    def __init__(self, windows: list[Span], steps: int):
        self.windows, self.steps = windows, steps
        self.rows = [Row() for _ in range(steps)]
        self.finished = 0  # frames
        self.evaluations = 0

    @property
    def num_frames(self) -> int:
        return self.windows[-1].stop

    def next_frames(self) -> Tensor:
        """Evaluate windows until frames are finished; they follow those of the last call. (f, 4, h, w)"""
        while (finished := self.next_window()) is None:
            pass
        return finished

    def next_window(self) -> Tensor | None:
        """Evaluate one window; the frames it finished, if any."""
        step = max((s for s in range(self.steps) if self._ready(s)), default=0)
        row = self._row_for(step)
        span = self.windows[row.window]
        frames = torch.cat(row.frames)
        complete = span.done - span.start
        denoised, partial = self.evaluate(step, span, frames[: span.stop - span.start], row.partial)
        advanced = self.advance(step, frames[:complete], denoised)
        self.evaluations += 1
        self.rows[step] = Row((frames[complete:],), span.done, row.window + 1, partial.after(complete))
        if step + 1 == self.steps:
            self.finished += complete
            return advanced
        self.rows[step + 1] = self.rows[step + 1].fed(advanced)
        return None

    def _ready(self, step: int) -> bool:
        row = self.rows[step]
        return row.window < len(self.windows) and row.stop >= self.windows[row.window].stop

    def _row_for(self, step: int) -> Row:
        row = self.rows[step]
        if self._ready(step):
            return row
        return row.fed(self.source(row.stop, self.windows[row.window].stop))  # step 0: noise enters
