"""From a voice to what each video frame hears of it."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

SAMPLE_RATE = 16000  # Hz, what wav2vec2 was trained on
SLOWEST, FASTEST = 1000, 1_000_000  # Hz, of the sound that comes in
LOUDEST = 100  # some nodes amplify beyond 1; whole numbers of 16 or 32 bits are no voice to a video
SHORTEST_VOICE = 0.025  # seconds: 400 samples, the receptive field of one wav2vec2 feature
SILENT = 0.001  # a voice that never is louder is taken for silence: -60 dB
FULL_SCALE, CLIPPED_SAMPLES = 0.999, 3  # so many samples in a row at the limit have been cut off
FEATURES_PER_FRAME = 2  # audio features, after they are stretched to the frames
PAD_FRAMES = 2  # frames heard before and after one's own
LONGEST_RATIO = 1000  # of two sample rates; 44.1 to 16 kHz is 441 to 160


@dataclass(frozen=True, eq=False)
class AudioTokens:
    """What the audio projection makes of a voice.

    tokens: (F, T, A) float32, T = 5 tokens per frame
    fps:    frames per second
    """

    tokens: Tensor
    fps: float


def frame_count(seconds: float, fps: float) -> int:
    """Frames that cover a duration; a thousandth of a frame more does not ask for another one."""
    return math.ceil(seconds * fps - 0.001)


def check_voice(waveform: Tensor, sample_rate: int) -> None:
    """Refuse audio that no talking head can be made from.

    waveform: (1, C, N) samples
    """
    if waveform.ndim != 3:
        raise ValueError(f"audio has the shape {tuple(waveform.shape)}, not (1, channels, samples).")
    if sample_rate <= 0:
        raise ValueError(f"audio has a sample rate of {sample_rate} Hz; it must be positive.")
    if not SLOWEST <= sample_rate <= FASTEST:
        raise ValueError(f"audio has a sample rate of {sample_rate} Hz; {SLOWEST} to {FASTEST} Hz are heard.")
    if waveform.shape[0] != 1:
        raise ValueError(f"audio is a batch of {waveform.shape[0]} clips; give one at a time.")
    seconds = waveform.shape[-1] / sample_rate if waveform.numel() else 0.0
    if seconds < SHORTEST_VOICE:
        raise ValueError(f"audio lasts {seconds:.4f} s; the shortest voice is {SHORTEST_VOICE} s.")
    if not waveform.isfinite().all():
        raise ValueError("audio holds NaN or infinite samples; all must be finite numbers.")
    if (loudest := waveform.abs().max().item()) > LOUDEST:
        raise ValueError(f"audio has samples as large as {loudest:.0e}; they must lie between -1 and 1.")


def voice_of(audio: dict | None) -> tuple[Tensor, int]:
    """Waveform (1, C, N) and sample rate of an AUDIO; a video without sound has none."""
    if audio is None:
        raise ValueError("audio is empty: the video that it comes from has no sound.")
    return audio["waveform"], audio["sample_rate"]


def voice_frames(waveform: Tensor, sample_rate: int, fps: float, frames: int = 0) -> int:
    """Number of video frames for a voice: `frames` if given, else as many as cover it.

    waveform: (1, C, N) samples
    """
    check_voice(waveform, sample_rate)
    if not fps > 0:
        raise ValueError(f"fps is {fps}; it must be positive.")
    if frames < 0:
        raise ValueError(f"frames is {frames}; it must be 0 (as long as the audio) or more.")
    frames = frames or frame_count(waveform.shape[-1] / sample_rate, fps)
    if _samples(frames, fps) < _samples(SHORTEST_VOICE, 1):
        raise ValueError(
            f"frames is {frames}, {frames / fps:.4f} s at {fps} fps; {SHORTEST_VOICE} s is the least."
        )
    return frames


def heard(waveform: Tensor, sample_rate: int, frames: int, fps: float) -> Tensor:
    """The part of a voice that a clip uses, followed by silence to its end. waveform: (1, C, N); returns (C, M)"""
    samples = max(round(frames / fps * sample_rate), 1)
    return F.pad(waveform[0].float(), (0, samples - waveform.shape[-1]))  # a negative pad cuts


def clipped_frames(waveform: Tensor, frames: int) -> Tensor:
    """Where samples at the limit follow each other. waveform: (C, M) of a clip in -1..1; returns (F,) bool"""
    full = (waveform.abs() >= FULL_SCALE).float()
    runs = -F.max_pool1d(-full, CLIPPED_SAMPLES, stride=1, padding=CLIPPED_SAMPLES // 2)
    return F.adaptive_max_pool1d(runs.amax(0, keepdim=True), frames)[0] > 0


class Fault(NamedTuple):
    frames: Tensor  # (F,) bool
    name: str
    note: str  # a sentence for the user


def voice_fault(waveform: Tensor, frames: int) -> Fault | None:
    """What is wrong with the voice of a clip, if anything. waveform: (C, M) samples in -1..1"""
    if waveform.abs().max() < SILENT:
        return Fault(
            torch.ones(frames, dtype=torch.bool),
            "silent",
            "The voice is silent all through, so the lips will hardly move: choose another audio, or make it louder.",
        )
    clipped = clipped_frames(waveform, frames)
    if not clipped.any():
        return None
    return Fault(
        clipped,
        "too loud",
        f"The voice clips in {clipped.sum()} of {frames} frames: it was recorded or amplified too loud, which may "
        "disturb the lips.",
    )


def prepare_waveform(waveform: Tensor, sample_rate: int, frames: int, fps: float) -> Tensor:
    """The voice as the audio encoder reads it: mono, 16 kHz, as long as the clip, mean 0 and variance 1.

    waveform: (1, C, N) samples at `sample_rate`
    returns:  (N,) N = 16000 samples for each second of the clip; silence where the voice is shorter
    """
    mono = waveform[0].float().mean(dim=0)
    mono = resampled(mono, sample_rate, SAMPLE_RATE)
    mono = F.pad(mono, (0, _samples(frames, fps) - len(mono)))  # a negative pad cuts
    return (mono - mono.mean()) / (mono.var(correction=0) + 1e-7).sqrt()


def resampled(sound: Tensor, sample_rate: int, target: int) -> Tensor:
    """Sound at another rate; one that has little in common with it is taken for one that is a millionth off.

    sound: (..., N) float samples
    """
    ratio = Fraction(sample_rate) / target
    if ratio.denominator * ratio.numerator > LONGEST_RATIO**2:
        # filters of gigabytes: 22254 Hz is 11127 to 8000
        ratio = ratio.limit_denominator(LONGEST_RATIO)
    return torchaudio.functional.resample(sound, ratio.numerator, ratio.denominator)


def frame_features(features: Tensor, num_frames: int, pad_frames: int = PAD_FRAMES) -> Tensor:
    """Give each video frame the audio features around it.

    features: (S, A) one every 20 ms
    returns:  (F, 2*(2*pad_frames + 1), A) float32; zeros stand in beyond both ends of the clip
    """
    size = FEATURES_PER_FRAME * num_frames
    stretched = F.interpolate(features.float().T[None], size=size, mode="linear")[0].T
    pad = FEATURES_PER_FRAME * pad_frames
    padded = F.pad(stretched, (0, 0, pad, pad))
    windows = padded.unfold(0, 2 * pad + FEATURES_PER_FRAME, FEATURES_PER_FRAME)
    return windows.movedim(-1, 1)  # (F, A, 10) -> (F, 10, A)


def _samples(frames: float, fps: float) -> int:
    return round(frames / fps * SAMPLE_RATE)
