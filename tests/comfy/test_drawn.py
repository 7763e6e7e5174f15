"""The endless source of clips that the tiny talker learns from, and its ears."""

import pytest
import torch
from pack.tools import model_shapes
from pack.tools.model_shapes import TINY
from pack.vexpress.audio import SAMPLE_RATE
from pack.vexpress.training import drawn
from pack.vexpress.training.clips import FAR
from pack.vexpress.training.drawn import DrawnPeople, Spoken, portraits, spoken, twice_as_large, voice_of
from pack.vexpress.training.faces import draw
from pack.vexpress.training.hearing import BANDS, bands_of, learn_to_hear, untrained
from pack.vexpress.training.mouth import Mouth

SIZE, SECONDS = 32, 4.0


@pytest.fixture(autouse=True)
def no_gradients():
    """Unlike a node, training needs gradients."""


def hear(waveform: torch.Tensor) -> torch.Tensor:
    """Loudness as the only feature."""
    return waveform.unfold(1, 400, 320).square().mean(-1, keepdim=True)


def source(**more) -> DrawnPeople:
    return DrawnPeople([spoken(seed, SECONDS, hear) for seed in range(2)], lambda x: x[:, :1], SIZE, **more)


def test_a_clip_depends_on_its_generator_alone():
    first, second = (source()(5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    other = source()(5, torch.Generator().manual_seed(4))
    assert not torch.equal(first.latents, other.latents)


def test_a_clip_has_what_training_asks_for():
    sample = source()(5, torch.Generator().manual_seed(3))
    shapes = [tuple(part.shape) for part in sample]
    assert shapes == [(5, 1, SIZE, SIZE), (1, SIZE, SIZE), (5, 3, 2), (5, 10, 1), (5, 4)]


def test_the_portrait_is_far_from_the_clip(monkeypatch):
    """The mouth opens by one step a frame, so its opening tells which frames were drawn."""
    frames = 100
    ramp = torch.arange(frames, dtype=torch.float64) / frames
    voice, shown = Spoken(torch.zeros(frames, 10, 1), Mouth(ramp, ramp), 30.0), []

    def watched(person, motion, size):
        shown.append((motion.opening * frames).round().long().tolist())
        return draw(person, motion, size)

    monkeypatch.setattr(drawn, "draw", watched)
    people = DrawnPeople([voice], lambda x: x, SIZE)
    for seed in range(20):
        people(4, torch.Generator().manual_seed(seed))
    for *clip, portrait in shown:
        assert clip == list(range(clip[0], clip[0] + 4))
        assert min(abs(portrait - frame) for frame in clip) > FAR
    assert len({clip[0] for clip in shown}) > 5


def test_lip_boxes_grow_around_their_middle():
    assert twice_as_large(torch.tensor([[10.0, 20.0, 14.0, 22.0]])).tolist() == [[8.0, 19.0, 16.0, 23.0]]


def test_portraits_are_of_different_people():
    images = portraits(0, 16, SIZE).drawn.images
    assert images.shape == (16, 3, SIZE, SIZE)
    assert all((images[0] - other).abs().mean() > 0.01 for other in images[1:])


def test_a_voice_is_heard_with_noise():
    heard, clean = voice_of(5, 1.0)
    assert len(heard) == len(clean) == SAMPLE_RATE and not torch.equal(heard, clean)


def test_a_tone_is_heard_in_its_band():
    seconds = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (bands_of((2 * torch.pi * hertz * seconds).sin()).mean(0).argmax() for hertz in (300, 3000))
    assert low < high < BANDS
    assert bands_of(torch.zeros(SAMPLE_RATE)).shape == (49, BANDS)


def test_ears_learn():
    network = untrained(model_shapes.wav2vec2_config(TINY), 0)
    voices = [voice_of(seed, 2.0) for seed in range(4)]
    explained = learn_to_hear(network, voices, voices, 40, tell=lambda line: None)
    assert explained > 0.2
