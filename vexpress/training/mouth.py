"""How lips move with a voice, by its sound alone: so there is a truth for any voice."""

from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from ..audio import SAMPLE_RATE, check_voice, frame_count

LIPS = 1 / 30  # seconds, standard deviation of their low-pass: [1 4 6 4 1] / 16 at 30 frames a second
LOUD = 95  # percentile of the clip's frames
PAUSE, SILENCE = 0.04, 1e-3  # of the loud frames, of full scale: nothing is said below
WINDOW = 1024  # samples, 64 ms
LOWEST, HIGHEST = 100.0, 4000.0  # Hz, what the shape of the lips is heard in
ROUND, WIDE = 500.0, 1700.0  # Hz, spectral centroid of "oo" and of "ee"
NEUTRAL = 0.45  # width of silent lips


class Mouth(NamedTuple):
    """
    opening: (F,) 0..1
    width:   (F,) 0 rounded, 1 wide
    """

    opening: Tensor
    width: Tensor


def mouth_of(waveform: Tensor, fps: float) -> Mouth:
    """The loudness opens the lips, relative to the clip's loudest frames; the spectrum widens them.

    waveform: (N,) at 16 kHz, before noise is added to it
    """
    check_voice(waveform[None, None], SAMPLE_RATE)
    heard = _windows(waveform.double().cpu().numpy(), fps)
    loudness = (heard**2).mean(1) ** 0.5
    loud = max(np.percentile(loudness, LOUD), SILENCE)
    opening = np.clip((loudness / loud - PAUSE) / (1 - PAUSE), 0, 1) ** 0.8
    width = np.clip((_centroid(heard) - ROUND) / (WIDE - ROUND), 0, 1)
    speaking = np.clip(4 * opening, 0, 1)
    width = NEUTRAL + speaking * (width - NEUTRAL)
    return Mouth(
        *(torch.from_numpy(gaussian_filter1d(t, LIPS * fps, mode="nearest")) for t in (opening, width))
    )


def _windows(voice: ndarray, fps: float) -> ndarray:
    """What is heard around the middle of each frame: (F, WINDOW)"""
    frames = frame_count(len(voice) / SAMPLE_RATE, fps)
    first = np.rint((np.arange(frames) + 0.5) * SAMPLE_RATE / fps).astype(int)
    padded = np.pad(voice, (WINDOW // 2, WINDOW + int(SAMPLE_RATE / fps)))
    return padded[first[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)


def _centroid(heard: ndarray) -> ndarray:
    """Hz, (F,)"""
    hertz = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    band = (hertz >= LOWEST) & (hertz <= HIGHEST)
    magnitude = np.abs(np.fft.rfft(heard)[:, band]) + 1e-9
    return magnitude @ hertz[band] / magnitude.sum(1)
