"""
Mel-frequency cepstral coefficients as SyncNet knows them, which are those of python_speech_features. The nearest that comes
with ComfyUI, torchaudio's of Kaldi, lie as far from them as they themselves vary.
"""

import numpy as np
from numpy import ndarray
from scipy.fft import dct

RATE = 100  # coefficients of so many moments per second
COEFFICIENTS = 13
WINDOW_SECONDS = 0.025
FFT, BANDS, LIFTER, EMPHASIS = 512, 26, 22, 0.97
AT_ONCE = 4096  # windows


def mfcc(sound: ndarray, sample_rate: int) -> ndarray:
    """
    sound:   (N,) int16 samples
    returns: (T, 13) float32, every 10 ms, the first coefficient being the logarithm of the energy
    """
    step, length = sample_rate // RATE, round(sample_rate * WINDOW_SECONDS)
    count = 1 + max(-(-(len(sound) - length) // step), 0)
    bands = _bands(sample_rate)
    parts = []
    for first in range(0, count, AT_ONCE):
        begin, end = first * step, (min(first + AT_ONCE, count) - 1) * step + length
        windows = np.lib.stride_tricks.sliding_window_view(_emphasised(sound, begin, end), length)[::step]
        parts.append(_coefficients(windows, bands))
    return np.concatenate(parts)


def _emphasised(sound: ndarray, begin: int, end: int) -> ndarray:
    """High tones louder, and silence after the end."""
    part = sound[max(begin - 1, 0) : end].astype(np.float32)
    emphasised = np.append(part[0], part[1:] - np.float32(EMPHASIS) * part[:-1])[begin > 0 :]
    return np.pad(emphasised, (0, end - begin - len(emphasised)))


def _coefficients(windows: ndarray, bands: ndarray) -> ndarray:
    power = np.square(np.abs(np.fft.rfft(windows, FFT))) / FFT
    cepstrum = dct(_log(power @ bands.T), norm="ortho")[:, :COEFFICIENTS]
    cepstrum *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstrum[:, 0] = _log(power.sum(1))
    return cepstrum.astype(np.float32)


def _log(energy: ndarray) -> ndarray:
    return np.log(np.where(energy == 0, np.finfo(float).eps, energy))


def _bands(sample_rate: int) -> ndarray:
    """(26, 257) triangles, evenly spaced in mel"""
    highest = 2595 * np.log10(1 + sample_rate / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, BANDS + 2) / 2595) - 1)
    edges = np.floor((FFT + 1) * hertz / sample_rate)[:, None]
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    bins = np.arange(FFT // 2 + 1)
    return np.clip(np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle)), 0, None)
