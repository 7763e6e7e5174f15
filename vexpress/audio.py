"""From a voice to what each video frame hears of it."""

import math
from dataclasses import dataclass

import torchaudio
from torch import Tensor
from torch.nn import functional as F

SAMPLE_RATE = 16000  # Hz, what wav2vec2 was trained on
SLOWEST, FASTEST = 1000, 1_000_000  # Hz, of the sound that comes in
LOUDEST = 2**32  # whole numbers of 16 or 32 bits are heard as well
SHORTEST_VOICE = 0.025  # seconds: 400 samples, the receptive field of one wav2vec2 feature
FEATURES_PER_FRAME = 2  # audio features, after they are stretched to the frames
PAD_FRAMES = 2  # frames heard before and after one's own


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
    if sample_rate <= 0:
        raise ValueError(f"audio has a sample rate of {sample_rate} Hz; it must be positive.")
    if not SLOWEST <= sample_rate <= FASTEST:
        raise ValueError(f"audio has a sample rate of {sample_rate} Hz; {SLOWEST} to {FASTEST} Hz are heard.")
    if waveform.dim() != 3:
        raise ValueError(f"audio has the shape {tuple(waveform.shape)}; AUDIO is (1, channels, samples).")
    if waveform.shape[0] != 1:
        raise ValueError(f"audio is a batch of {waveform.shape[0]} clips; give one at a time.")
    seconds = waveform.shape[-1] / sample_rate if waveform.numel() else 0.0
    if seconds < SHORTEST_VOICE:
        raise ValueError(f"audio lasts {seconds:.4f} s; the shortest voice is {SHORTEST_VOICE} s.")
    if not waveform.isfinite().all():
        raise ValueError("audio holds NaN or infinite samples; all must be finite numbers.")
    if waveform.abs().max() > LOUDEST:
        raise ValueError(
            f"audio holds samples of up to {waveform.abs().max():g}; they should lie in -1 to 1."
        )


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


def prepare_waveform(waveform: Tensor, sample_rate: int, frames: int, fps: float) -> Tensor:
    """The voice as the audio encoder reads it: mono, 16 kHz, as long as the clip, mean 0 and variance 1.

    waveform: (1, C, N) samples at `sample_rate`
    returns:  (N,) N = 16000 samples for each second of the clip; silence where the voice is shorter
    """
    mono = waveform[0].float().mean(dim=0)
    mono = torchaudio.functional.resample(mono, sample_rate, SAMPLE_RATE)
    mono = F.pad(mono, (0, _samples(frames, fps) - len(mono)))  # a negative pad cuts
    return (mono - mono.mean()) / (mono.var(correction=0) + 1e-7).sqrt()


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
