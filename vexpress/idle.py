"""Head motion without a driving video: the head sways, and nods with the voice."""

from dataclasses import replace

import numpy as np
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d, minimum_filter1d
from torch import Tensor

from .audio import voice_frames
from .kps import Kps
from .pose import Motion, moved, points_of, pose_of

# Measured on eight tracks of talking heads such as the model was made for, 9 to 15 s each at 25 fps, smoothed, from
# the middle of each track's movement. Columns: x and y of the face in its sizes, roll in radians, logarithm of its
# size, nose along and below the line of the eyes in their distance.
TYPICAL = np.array([0.162, 0.128, 0.067, 0.0158, 0.066, 0.057])  # median of the tracks' standard deviations
LARGEST = np.array([0.60, 0.52, 0.258, 0.074, 0.263, 0.249])  # away from the middle, in any track
FASTEST = np.array([3.32, 2.41, 0.92, 0.45, 1.43, 1.32])  # a second, in any track
FREQUENCY = np.array(
    [0.44, 0.56, 0.42, 1.1, 0.47, 0.70]
)  # Hz, root mean square: of the speed over the deviation
CORRELATION = np.eye(6)
CORRELATION[[0, 0, 2], [2, 4, 4]] = CORRELATION[[2, 4, 4], [0, 0, 2]] = (
    0.62,
    0.69,
    0.48,
)  # a head turns on a neck
CORRELATION[[1], [5]] = CORRELATION[[5], [1]] = 0.79
LOWEST, HIGHEST = 0.07, 3.0  # Hz: what a clip of 15 s can tell, and 99 % of the power
MIXING = np.linalg.cholesky(CORRELATION)
Y = 1

# Measured on the three tracks that come with a voice: in pauses the head moves at half the speed, and in two of them
# it goes down as the voice grows louder (correlation 0.5 and 0.6 in the band of nods, 0.3 to 0.6 s later).
PAUSE = 0.5  # speed and size of the sway, relative to speech
NODS, NOD_DELAY = 0.5, 0.4  # share of y that follows the voice; seconds
NOD_LOUDNESS = 0.16  # standard deviation of what makes a nod, in speech

WAVES = 48  # that a sway is the sum of
TICKS = 50  # a second, at which the voice is listened to
LOUDNESS_RANGE, SILENCE = 30.0, -60.0  # dB below the loudest parts, dB below full scale
TO_REST = 1.0  # seconds from and to the portrait's pose, less in a shorter clip
CALMING = 0.33  # seconds before and after a movement that is too fast
GAIN = 1.2  # what pauses, both ends and the limits take away


def idle(
    reference: Kps,
    waveform: Tensor,
    sample_rate: int,
    fps: float,
    frames: int = 0,
    amount: float = 1.0,
    seed: int = 0,
) -> Kps:
    """
    A track that starts and ends at the portrait's pose and never moves further or faster than real heads did.

    reference: the portrait's; of a track the first frame counts
    waveform:  (1, C, N) samples
    frames:    0 for as many as the voice has
    amount:    1 for the typical movement
    """
    frames = voice_frames(waveform, sample_rate, fps, frames)
    seconds = np.arange(frames) / fps
    sway = _sway_and_nods(seconds, _loudness(waveform, sample_rate, frames / fps), seed)
    movement = GAIN * amount * _near_rest(seconds) * (MIXING @ sway) * TYPICAL[:, None]
    x, y, roll, scale, along, below = _limited(movement, fps)
    rest = pose_of(reference.points[:1], "reference")
    points = points_of(moved(rest, Motion(x + 1j * y, roll, scale, along + 1j * below)))
    return replace(reference, points=points, fps=fps)


def _sway_and_nods(seconds: ndarray, loudness: ndarray, seed: int) -> ndarray:
    """(6, F), of variance 1 in speech, before they are mixed"""
    speaking = _speaking(loudness)
    sway = _sway(_at(seconds, _clock(speaking)), seed) * (PAUSE + (1 - PAUSE) * _at(seconds, speaking))
    sway[Y] = (1 - NODS**2) ** 0.5 * sway[Y] + NODS * _at(seconds - NOD_DELAY, _nods(loudness))
    return sway


def _limited(movement: ndarray, fps: float) -> ndarray:
    """Softly kept within LARGEST, and made smaller around where it would be faster than FASTEST: (6, F)"""
    movement = LARGEST[:, None] * np.tanh(movement / LARGEST[:, None])
    speed = np.abs(np.diff(movement, prepend=0, append=0)) * fps
    speed = np.maximum(speed[:, 1:], speed[:, :-1])
    gain = 0.9 * FASTEST[:, None] / np.maximum(speed, 0.9 * FASTEST[:, None])  # changing it adds speed
    gain = minimum_filter1d(gain, 2 * int(3 * CALMING * fps) + 1, mode="nearest")
    return movement * gaussian_filter1d(gain, CALMING * fps, mode="nearest", truncate=3)


def _loudness(waveform: Tensor, sample_rate: int, duration: float) -> ndarray:
    """0 in silence, 1 in the loudest parts: (ticks,)"""
    edges = np.rint(np.arange(int(np.ceil(duration * TICKS)) + 1) * sample_rate / TICKS).astype(int)
    mono = waveform[0].float().mean(0).cpu().numpy()
    mono = (mono - mono.mean())[: edges[-1]]
    power = np.add.reduceat(np.pad(mono, (0, edges[-1] - len(mono))) ** 2, edges[:-1]) / np.diff(edges)
    level = 10 * np.log10(power + 1e-12)
    quiet = max(np.percentile(level, 95) - LOUDNESS_RANGE, SILENCE)
    return np.clip((level - quiet) / LOUDNESS_RANGE, 0, 1)


def _speaking(loudness: ndarray) -> ndarray:
    """0 in a pause, 1 in speech, without haste."""
    return np.minimum(2 * _blurred(loudness, 0.4), 1)


def _nods(loudness: ndarray) -> ndarray:
    """Positive on a stressed word, within 2."""
    return 2 * np.tanh((_blurred(loudness, 0.12) - _blurred(loudness, 0.7)) / NOD_LOUDNESS / 2)


def _clock(speaking: ndarray) -> ndarray:
    """Seconds that go by more slowly in a pause."""
    speed = PAUSE + (1 - PAUSE) * speaking
    return np.cumsum(speed) / TICKS


def _sway(clock: ndarray, seed: int) -> ndarray:
    """Sums of waves with the power 1 / (1 + (f / FREQUENCY)^2)^2: (6, F), of variance 1 each"""
    random = np.random.default_rng(seed)
    grid = np.linspace(LOWEST, HIGHEST, 1000)
    sway = np.zeros((len(FREQUENCY), len(clock)))
    for row, frequency in zip(sway, FREQUENCY, strict=True):
        power = np.cumsum((1 + (grid / frequency) ** 2) ** -2)
        share = (np.arange(WAVES) + random.random(WAVES)) / WAVES
        waves, phases = np.interp(share, power / power[-1], grid), random.random(WAVES)
        for wave, phase in zip(waves, phases, strict=True):
            row += np.cos(2 * np.pi * (wave * clock + phase))
    return sway * (2 / WAVES) ** 0.5


def _near_rest(seconds: ndarray) -> ndarray:
    """0 in the first and the last frame, 1 from TO_REST on, without a jump of speed."""
    to_rest = min(TO_REST, seconds[-1] / 2) or TO_REST
    near = np.minimum(np.minimum(seconds, seconds[-1] - seconds) / to_rest, 1)
    return near**2 * (3 - 2 * near)


def _blurred(loudness: ndarray, seconds: float) -> ndarray:
    return gaussian_filter1d(loudness, seconds * TICKS, mode="nearest")


def _at(seconds: ndarray, ticks: ndarray) -> ndarray:
    """What is known in the middle of each tick, at other times."""
    return np.interp(seconds * TICKS - 0.5, np.arange(len(ticks)), ticks)
