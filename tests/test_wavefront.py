"""The order of the wavefront, with a model that is simple enough to follow by hand."""

import pytest
import torch
from pack.vexpress.wavefront import Band, Denoiser, Partial, Span, spans


@pytest.mark.parametrize(
    "frames, length, overlap, expected",
    [
        (1, 24, 4, [(0, 1)]),
        (23, 24, 4, [(0, 23)]),
        (24, 24, 4, [(0, 24)]),
        (25, 24, 4, [(0, 24), (1, 25)]),
        (44, 24, 4, [(0, 24), (20, 44)]),
        (45, 24, 4, [(0, 24), (20, 44), (21, 45)]),
        (64, 24, 4, [(0, 24), (20, 44), (40, 64)]),
        (7, 3, 0, [(0, 3), (3, 6), (4, 7)]),
    ],
)
def test_windows_cover_the_clip_and_the_last_ends_with_it(frames, length, overlap, expected):
    assert [(s.start, s.stop) for s in spans(frames, length, overlap)] == expected


def test_frames_of_a_window_are_done_where_the_next_one_starts():
    assert spans(25, 24, 4) == [Span(0, 24, 1), Span(1, 25, 25)]


def noise(start: int, stop: int) -> torch.Tensor:
    return torch.arange(start, stop, dtype=torch.float64).view(-1, 1, 1, 1).sin()


def predict(step: int, span: Span, frames: torch.Tensor) -> torch.Tensor:
    """Every frame hears of all frames of its window and of its place in it, as in a motion module."""
    place = torch.arange(len(frames), dtype=torch.float64).view(-1, 1, 1, 1)
    return (frames + frames.mean() * 0.3 + place.cos() * (step + 1) * 0.1).tanh()


def advance(step: int, frames: torch.Tensor, denoised: torch.Tensor) -> torch.Tensor:
    return frames * 0.7 + denoised * 0.3


def plain_loop(windows: list[Span], steps: int) -> torch.Tensor:
    x = noise(0, windows[-1].stop)
    for step in range(steps):
        total, count = torch.zeros_like(x), torch.zeros_like(x)
        for w in windows:
            total[w.start : w.stop] += predict(step, w, x[w.start : w.stop])
            count[w.start : w.stop] += 1
        x = advance(step, x, total / count)
    return x


class Recorded:
    """A band that writes down what it evaluates, how many frames it holds, and fails where it is told to."""

    def __init__(self, windows: list[Span], steps: int):
        self.order, self.live, self.fail_at = [], [], None
        self.band = Band(windows, steps)
        self.denoiser = Denoiser(noise, self.evaluate, advance)

    def evaluate(self, step: int, span: Span, frames: torch.Tensor, partials: tuple[Partial, ...]):
        if len(self.order) == self.fail_at:
            self.fail_at = None
            raise InterruptedError
        self.order.append((self.band.windows.index(span), step))
        self.live.append(sum(row.stop - row.start for row in self.band.rows[:-1]))
        partial = (partials or (Partial(),))[0].plus([predict(step, span, frames)])
        return partial.mean(span.done - span.start)[0], (partial,)

    def finish(self) -> torch.Tensor:
        while self.band.finished < self.band.num_frames:
            self.band.next_window(self.denoiser)
        return self.band.finished_frames()


@pytest.mark.parametrize("frames", [1, 5, 6, 7, 10, 11, 13, 26, 40])
@pytest.mark.parametrize("length, overlap", [(6, 2), (6, 0), (6, 5), (4, 1)])
def test_every_frame_is_that_of_the_plain_loop(frames, length, overlap):
    windows = spans(frames, length, overlap)
    assert torch.equal(Recorded(windows, 5).finish(), plain_loop(windows, 5))


def test_windows_come_in_the_order_of_window_plus_step():
    recorded = Recorded(spans(14, 6, 2), 3)
    recorded.finish()
    assert recorded.order == [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (2, 1), (1, 2), (2, 2)]


def test_live_frames_do_not_grow_with_the_clip():
    peaks = []
    for frames in (62, 242):
        recorded = Recorded(spans(frames, 6, 2), 5)
        recorded.finish()
        peaks.append(max(recorded.live))
    assert peaks[0] == peaks[1] <= 5 * 4 + 2  # steps times stride, and one overlap


def test_the_first_frames_are_finished_long_before_the_last_begin():
    recorded = Recorded(spans(82, 6, 2), 5)
    while not recorded.band.finished:
        recorded.band.next_window(recorded.denoiser)
    assert len(recorded.band.finished_frames()) == 4
    assert len(recorded.order) == recorded.band.evaluations == 15  # 5 + 4 + 3 + 2 + 1
    assert recorded.band.rows[0].stop < 82


@pytest.mark.parametrize("fail_at", [0, 1, 7, 22])
def test_an_interrupted_evaluation_can_be_repeated(fail_at):
    windows = spans(26, 6, 2)
    recorded = Recorded(windows, 4)
    recorded.fail_at = fail_at
    with pytest.raises(InterruptedError):
        recorded.finish()
    assert torch.equal(recorded.finish(), plain_loop(windows, 4))
    assert len(recorded.order) == len(windows) * 4


def test_released_frames_are_not_given_again():
    windows = spans(26, 6, 2)
    recorded, pieces = Recorded(windows, 4), []
    while recorded.band.released < 26:
        recorded.band.next_window(recorded.denoiser)
        if recorded.band.finished > recorded.band.released:
            pieces.append(recorded.band.finished_frames())
            recorded.band.release()
    assert [len(piece) for piece in pieces] == [4, 4, 4, 4, 4, 6]
    assert torch.equal(torch.cat(pieces), plain_loop(windows, 4))
