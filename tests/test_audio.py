import pytest
import torch
from golden_weights import GOLDEN
from pack.vexpress.audio import (
    check_voice,
    frame_count,
    frame_features,
    heard,
    prepare_waveform,
    voice_fault,
    voice_frames,
)
from safetensors.torch import load_file


def relative_error(value, expected):
    return ((value - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize(
    "seconds, fps, frames",
    [
        (1.0, 30, 30),
        (1.00003, 30, 30),  # less than a thousandth of a frame too long
        (1.00004, 30, 31),
        (0.8, 30, 24),
        (0.81, 30, 25),
        (10.0, 29.97, 300),
        (0.025, 30, 1),
    ],
)
def test_frames_cover_the_voice(seconds, fps, frames):
    assert frame_count(seconds, fps) == frames


@pytest.mark.parametrize("seconds", [0.1, 1.0, 1.03, 1.06, 3.5949, 59.99])
def test_half_the_frames_and_one_between_every_two_end_within_a_frame_of_the_voice(seconds):
    """As the workflow half_frame_rate has it: 2 F - 1 pictures at 30 frames per second."""
    pictures = 2 * frame_count(seconds, 15) - 1
    assert pictures / 30 == pytest.approx(seconds, abs=1 / 30 + 0.0001)


def test_frames_asked_for_come_first():
    voice = torch.zeros(1, 1, 16000)
    assert voice_frames(voice, 16000, 30) == 30
    assert voice_frames(voice, 16000, 30, frames=7) == 7


@pytest.mark.parametrize(
    "frames, samples, start, end",
    [(30, 16000, 1.0, 2.0), (15, 8000, 1.0, 1.5), (60, 32000, 1.0, 0.0)],  # as long, cut, followed by silence
)
def test_voice_is_as_long_as_the_clip(frames, samples, start, end):
    voice = torch.linspace(1, 2, 16000)[None, None]
    prepared = prepare_waveform(voice, 16000, frames, 30)
    assert prepared.shape == (samples,)
    slope = prepared[1000] - prepared[999]
    rise = (prepared[-1] - prepared[0]) / slope / 15999
    assert rise.item() == pytest.approx(end - start, abs=0.01)


def test_voice_has_mean_zero_and_variance_one():
    torch.manual_seed(0)
    quiet = 0.01 * torch.randn(1, 1, 48000) + 0.5
    prepared = prepare_waveform(quiet, 48000, 30, 30)
    assert prepared.mean().item() == pytest.approx(0, abs=1e-5)
    assert prepared.var(correction=0).item() == pytest.approx(1, abs=1e-2)


def test_silence_stays_silence():
    assert prepare_waveform(torch.zeros(1, 2, 44100), 44100, 30, 30).abs().max() == 0


@pytest.mark.parametrize("sample_rate", [16000, 44100])
@pytest.mark.parametrize(
    "loudness",
    [1e-44, 1e-20, 1e-6, 1.0, 32768.0, 1e9],
    ids=["denormal", "tiny", "quiet", "full", "int16", "loudest"],
)
def test_no_loudness_makes_nan(loudness, sample_rate):
    noise = torch.randn(1, 2, sample_rate, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    prepared = prepare_waveform(loudness * noise, sample_rate, 30, 30)
    assert prepared.isfinite().all()
    assert prepared.var(correction=0).item() == pytest.approx(1 if loudness >= 1e-2 else 0, abs=0.01)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 192000])
@pytest.mark.parametrize("level", [-1.0, 1e-5, 0.5, 1.0])
def test_a_constant_is_no_sound_but_for_its_ends(level, sample_rate):
    prepared = prepare_waveform(torch.full((1, 1, sample_rate), level), sample_rate, 30, 30)
    assert prepared.isfinite().all()
    assert prepared[1000:-1000].abs().max() < 0.2
    with_silence = prepare_waveform(torch.full((1, 1, sample_rate), level), sample_rate, 60, 30)
    assert with_silence.isfinite().all()


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("sample_rate", [8000, 11025, 22050, 32000, 44100, 48000, 96000, 192000])
def test_any_rate_and_channels_sound_the_same(sample_rate, channels):
    seconds = torch.arange(sample_rate // 2) / sample_rate
    tone = (2 * torch.pi * 440 * seconds).sin().expand(1, channels, -1)
    prepared = prepare_waveform(tone, sample_rate, 15, 30)
    expected = 2**0.5 * (2 * torch.pi * 440 * torch.arange(8000) / 16000).sin()
    assert relative_error(prepared, expected) < 0.02  # the resampler rings at both ends


@pytest.mark.parametrize("sample_rate", [7813, 22254, 44101, 48048])
def test_rates_that_have_little_in_common_with_16_khz_are_heard_in_time(sample_rate):
    """Exact filters between them would take gigabytes. A click in the middle of a minute stays where it is."""
    clicks = torch.zeros(1, 1, 60 * sample_rate)
    clicks[..., 30 * sample_rate] = 1
    prepared = prepare_waveform(clicks, sample_rate, 1800, 30)
    assert abs(prepared.abs().argmax().item() - 30 * 16000) <= 1


@pytest.mark.parametrize("sample_rate", [8000, 11025, 24000])
def test_resampling_is_the_reference_one(sample_rate):
    golden = load_file(GOLDEN / "audio" / "m_resample.safetensors")
    mono = golden[f"{sample_rate}.mono"]
    prepared = prepare_waveform(golden[f"{sample_rate}.input"][None], sample_rate, 1, 16000 / len(mono))
    assert relative_error(prepared, (mono - mono.mean()) / (mono.var(correction=0) + 1e-7).sqrt()) < 2e-6


@pytest.mark.parametrize("frames", [12, 28])
def test_waveform_and_windows_are_the_golden_ones(frames):
    golden = load_file(GOLDEN / "audio" / f"b_audio_{frames}.safetensors")
    voice = golden["waveform"]
    prepared = prepare_waveform(voice[None, None], 16000, frames, frames * 16000 / len(voice))
    assert relative_error(prepared, golden["input_values"][0]) < 2e-6
    windows = frame_features(golden["last_hidden_state"][0], frames)
    assert relative_error(windows, golden["windows"]) < 2e-6
    stretched = windows[:, 4:6].flatten(0, 1)  # a frame's own two features
    assert relative_error(stretched, golden["interpolated"]) < 2e-6


def test_each_frame_hears_two_frames_either_side():
    track = torch.arange(1.0, 21.0)[:, None]  # 10 frames of 2 features, each its own place in the row
    windows = frame_features(track, 10)
    assert windows.shape == (10, 10, 1)
    assert windows[0, :, 0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]
    assert windows[3, :, 0].tolist() == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert windows[9, :, 0].tolist() == [15, 16, 17, 18, 19, 20, 0, 0, 0, 0]


def test_one_frame_of_half_precision_features():
    windows = frame_features(torch.ones(1, 3, dtype=torch.float16), 1)
    assert windows.dtype == torch.float32
    assert windows[0, :, 0].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "waveform, sample_rate, message",
    [
        (torch.zeros(1, 1, 0), 16000, "audio lasts 0.0000 s; the shortest voice is 0.025 s."),
        (torch.zeros(1, 0, 500), 16000, "audio lasts 0.0000 s"),
        (torch.zeros(1, 1, 399), 16000, "audio lasts 0.0249 s; the shortest voice is 0.025 s."),
        (torch.zeros(2, 1, 16000), 16000, "audio is a batch of 2 clips"),
        (torch.full((1, 1, 16000), float("nan")), 16000, "NaN or infinite"),
        (torch.full((1, 1, 16000), float("inf")), 16000, "NaN or infinite"),
        (torch.zeros(1, 1, 16000), 0, "sample rate of 0 Hz; it must be positive"),
        (torch.zeros(1, 1, 1), 16000, "audio lasts 0.0001 s; the shortest voice is 0.025 s."),
        (torch.tensor([0.0, 1.0, torch.nan]).repeat(1, 2, 8000), 16000, "NaN or infinite"),
        (
            torch.full((1, 1, 16000), 1e30),
            16000,
            r"samples as large as 1e\+30; they must lie between -1 and 1",
        ),
        (
            torch.full((1, 1, 16000), 20000),
            16000,
            r"samples as large as 2e\+04; they must lie between -1 and 1",
        ),
        (torch.zeros(2, 16000), 16000, r"shape \(2, 16000\), not \(1, channels, samples\)"),
        (torch.zeros(1, 1, 16000), 1, "sample rate of 1 Hz; 1000 to 1000000 Hz are heard"),
    ],
)
def test_bad_audio_is_refused_in_a_sentence(waveform, sample_rate, message):
    with pytest.raises(ValueError, match=message):
        check_voice(waveform, sample_rate)


@pytest.mark.parametrize(
    "fps, frames, message",
    [
        (0, 0, "fps is 0; it must be positive"),
        (float("nan"), 0, "fps is nan; it must be positive"),
        (30, -1, "frames is -1; it must be 0"),
        (60, 1, "frames is 1, 0.0167 s at 60 fps; 0.025 s is the least"),
    ],
)
def test_bad_length_is_refused_in_a_sentence(fps, frames, message):
    with pytest.raises(ValueError, match=message):
        voice_frames(torch.zeros(1, 1, 16000), 16000, fps, frames)


def test_a_clip_hears_its_part_of_a_voice_and_silence_after_it():
    voice = torch.arange(1.0, 9.0)[None, None]  # 8 samples a second
    assert heard(voice, 8, frames=2, fps=4.0).tolist() == [[1, 2, 3, 4]]
    assert heard(voice, 8, frames=5, fps=4.0).tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 0, 0]]


@pytest.mark.parametrize(
    "samples, name, frames",
    [
        (
            [0.5, -0.5, 1.0, 1.0, 0.5, 0.5, -1.0, 0.2, 0.1, 0.0, 0.0, 0.0],
            None,
            [],
        ),  # peaks that only touch the limit
        ([0.5, -0.5, 0.1, 0.5, 1.0, 1.0, 1.0, 0.2, 0.1, 0.0, 0.0, 0.0], "too loud", [1]),
        ([0.5, -0.5, 0.1, 0.5, 0.1, 0.5, 0.5, 0.2, 0.1, -1.0, -1.0, -1.0], "too loud", [2]),
        ([0.0005, -0.0005] * 6, "silent", [0, 1, 2]),
    ],
)
def test_what_is_wrong_with_a_voice_is_found_in_its_frames(samples, name, frames):
    fault = voice_fault(torch.tensor([samples]), 3)
    assert (fault and fault.name) == name
    assert not fault or fault.frames.nonzero().flatten().tolist() == frames
