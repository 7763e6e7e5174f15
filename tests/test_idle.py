import numpy as np
import pytest
import torch
from pack.vexpress.idle import FASTEST, LARGEST, TYPICAL, idle
from pack.vexpress.kps import Kps
from pack.vexpress.pose import motion_of, pose_of

FACE = torch.tensor([[200.0, 220.0], [312.0, 226.0], [262.0, 290.0]])
PORTRAIT = Kps(FACE[None], 512, 512, 30.0, "a")
RATE = 16000


def voice(seconds=12.0, rate=RATE, spoken=(0.0, 1e9)):
    """Three syllables a second, some stressed, between two times."""
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    syllables = (torch.sin(3 * torch.pi * time).square() * (0.3 + 0.2 * torch.sin(2.3 * time))).float()
    tone = torch.sin(2 * torch.pi * 210 * time).float()
    heard = (time >= spoken[0]) & (time < spoken[1])
    return (syllables * tone * heard)[None, None]


def silence(seconds=12.0):
    return torch.zeros(1, 1, round(seconds * RATE))


def movement(kps):
    """x, y, roll, scale and the nose along and below, away from the portrait: (6, F)"""
    motion = motion_of(pose_of(kps.points, "idle"), pose_of(FACE[None], "reference"))
    parts = [motion.translation.real, motion.translation.imag, motion.rotation, motion.scale]
    return torch.from_numpy(np.stack([*parts, motion.turn.real, motion.turn.imag]))


def takes(amount=1.0, waveform=None, count=12):
    waveform = voice() if waveform is None else waveform
    return torch.stack(
        [movement(idle(PORTRAIT, waveform, RATE, 25.0, 0, amount, seed)) for seed in range(count)]
    )


def test_the_track_belongs_to_the_portrait_and_lasts_as_long_as_the_voice():
    kps = idle(PORTRAIT, voice(3.0), RATE, 25.0)
    assert (len(kps), kps.width, kps.height, kps.fps, kps.detector) == (75, 512, 512, 25.0, "a")


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 50, 400])
def test_any_length_starts_and_ends_at_the_portraits_pose(frames):
    points = idle(PORTRAIT, voice(3.0), RATE, 30.0, frames, amount=2.0).points
    assert points.shape == (frames, 3, 2)
    assert torch.allclose(points[[0, -1]], FACE.expand(2, 3, 2), atol=1e-3)


def test_it_leaves_the_portraits_pose_slowly():
    steps = takes()[..., :50].diff(dim=-1).abs().mean(0)
    assert (steps[:, 0] < 0.1 * steps[:, 25:].mean(1)).all()


def test_the_same_seed_moves_the_same_way_and_another_does_not():
    first, again, other = (idle(PORTRAIT, voice(), RATE, 30.0, seed=seed).points for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 5


def test_it_moves_as_much_as_real_heads():
    typical = torch.from_numpy(TYPICAL)
    deviation = takes().std(-1).median(0).values
    assert (0.75 * typical < deviation).all() and (deviation < 1.25 * typical).all()


@pytest.mark.parametrize("amount", [1.0, 2.0])
def test_it_moves_neither_further_nor_faster_than_real_heads(amount):
    moves = takes(amount)
    assert (moves.abs().amax((0, 2)) <= torch.from_numpy(LARGEST)).all()
    assert (moves.diff(dim=-1).abs().amax((0, 2)) * 25 <= torch.from_numpy(FASTEST)).all()


def test_no_amount_is_exactly_still():
    still = idle(PORTRAIT, voice(), RATE, 30.0, amount=0.0).points
    assert torch.allclose(still, FACE.expand_as(still), rtol=0, atol=1e-4)
    assert (still == still[0]).all()


def test_a_silent_head_sways_less_but_lives():
    silent, speaking = takes(waveform=silence()).std(-1).mean(0), takes().std(-1).mean(0)
    assert (silent < 0.7 * speaking).all() and (silent > 0.2 * speaking).all()


def test_it_calms_down_in_a_pause():
    moves = takes(waveform=voice(12.0, spoken=(0.0, 6.0)))
    speed = moves.diff(dim=-1).abs().mean(0)
    assert (speed[:, 200:260].mean(1) < 0.6 * speed[:, 40:125].mean(1)).all()


def test_it_nods_when_the_voice_sets_in():
    """0.4 s after the first word the head is lower than the same sway in silence would have it."""
    moves = takes(waveform=voice(6.0, spoken=(3.0, 6.0)), count=60)
    down = moves[:, 1].mean(0)
    assert 75 < int(down[50:110].argmax()) + 50 < 95
    assert down.max() > 0.03


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_the_sample_rate_does_not_matter(rate):
    expected = idle(PORTRAIT, voice(), RATE, 30.0, seed=5).points
    assert torch.allclose(idle(PORTRAIT, voice(rate=rate), rate, 30.0, seed=5).points, expected, atol=0.1)


def test_the_frame_rate_samples_the_same_movement():
    slow = idle(PORTRAIT, voice(), RATE, 25.0, 251, seed=5).points
    fast = idle(PORTRAIT, voice(), RATE, 50.0, 501, seed=5).points
    assert torch.allclose(fast[::2], slow, atol=0.5)


def test_loudness_and_channels_of_the_voice_do_not_matter():
    expected = idle(PORTRAIT, voice(), RATE, 30.0).points
    stereo = voice().repeat(1, 2, 1) * 0.2
    assert torch.allclose(idle(PORTRAIT, stereo, RATE, 30.0).points, expected, atol=0.01)


@pytest.mark.parametrize(
    "waveform, frames, message",
    [
        (torch.zeros(2, 1, RATE), 0, "batch of 2 clips"),
        (torch.zeros(1, 1, 9), 0, "shortest voice"),
        (torch.full((1, 1, RATE), float("nan")), 0, "NaN"),
        (torch.zeros(1, 1, RATE), -1, "frames is -1"),
    ],
)
def test_no_voice_is_refused(waveform, frames, message):
    with pytest.raises(ValueError, match=message):
        idle(PORTRAIT, waveform, RATE, 30.0, frames)
