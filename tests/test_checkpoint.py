"""A clip whose denoising is broken off, written down and taken up again."""

import pytest
import torch
from pack.vexpress.checkpoint import clip_state, restore_clip
from pack.vexpress.schedule import NoiseStream
from pack.vexpress.wavefront import Band, Denoiser, Partial, spans
from safetensors.torch import load, save
from test_wavefront import advance, predict

SHAPE = (4, 3, 5)
SEED = 9


class Clip:
    """A band that draws its noise from a stream, and is asked about every window twice, as some guidance does."""

    def __init__(self, frames: int, length: int, overlap: int):
        self.band = Band(spans(frames, length, overlap), 4)
        self.noise = NoiseStream(SEED, frames, SHAPE)
        self.denoiser = Denoiser(lambda start, stop: self.noise.draw(stop - start), self.evaluate, advance)

    def evaluate(self, step, span, frames, partials):
        before = partials or (Partial(), Partial())
        predicted = predict(step, span, frames)
        here = before[0].plus([predicted, -predicted]), before[1].plus([predicted * 2])
        complete = span.done - span.start
        return here[0].mean(complete)[0] + 0.1 * here[1].mean(complete)[0], here

    def run(self, evaluations: int, release_every: int = 5) -> torch.Tensor:
        """Frames that were released, as somebody who writes them down would do now and then."""
        released = [torch.zeros(0, *SHAPE)]
        for _ in range(evaluations):
            self.band.next_window(self.denoiser)
            if self.band.finished - self.band.released >= release_every:
                released.append(self.band.finished_frames())
                self.band.release()
        return torch.cat(released)


@pytest.mark.parametrize("length, overlap", [(6, 2), (6, 0), (6, 5)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.45, 0.8, 0.97, 1.0])
def test_it_goes_on_as_if_nothing_had_happened(share, length, overlap):
    whole = Clip(27, length, overlap)
    everything = whole.band.evaluations_in_all
    expected = whole.run(everything, release_every=27)

    broken = Clip(27, length, overlap)
    done = round(share * everything)
    before = broken.run(done)
    file = save(clip_state(broken.band, broken.noise))
    resumed = Clip(27, length, overlap)
    restore_clip(resumed.band, resumed.noise, load(file))
    assert (resumed.band.evaluations, resumed.band.finished) == (done, broken.band.finished)
    after = [resumed.run(everything - done)]
    if resumed.band.finished > resumed.band.released:
        after.append(resumed.band.finished_frames())
    assert torch.equal(torch.cat([before, *after]), expected)


def test_the_state_does_not_grow_with_the_clip():
    sizes = []
    for frames in (66, 266):
        clip = Clip(frames, 6, 2)
        clip.run(clip.band.evaluations_in_all // 2)
        sizes.append(len(save(clip_state(clip.band, clip.noise))))
    assert abs(sizes[1] - sizes[0]) < 0.2 * sizes[0]


@pytest.mark.parametrize(
    "key, value",
    [
        ("windows", torch.tensor([99, 0, 0, 0, 0])),
        ("windows", torch.tensor([-1, 0, 0, 0, 0])),
        ("windows", torch.tensor([1])),
        ("windows", torch.tensor([1, 1, 1, 0, 0])),
        ("0.frames", torch.zeros(1 << 20, *SHAPE)),
        ("0.frames", torch.zeros(2, 2)),
        ("0.frames", torch.full((2, *SHAPE), torch.nan)),
        ("0.0.counts", torch.zeros(5)),
        ("noise.spare", torch.zeros(3, 3)),
        ("noise.spare", torch.tensor([torch.inf])),
        ("noise.generator", torch.zeros(7, dtype=torch.uint8)),
    ],
)
def test_what_no_clip_has_written_is_refused(key, value):
    broken = Clip(27, 6, 2)
    broken.run(9)
    state = clip_state(broken.band, broken.noise)
    assert key in state
    resumed = Clip(27, 6, 2)
    with pytest.raises((ValueError, RuntimeError, TypeError)):
        restore_clip(resumed.band, resumed.noise, state | {key: value})
    assert resumed.band.evaluations == 0
