"""Voices to teach with: real speech by espeak-ng, a built-in one that needs no program, and what spoils them."""

import shutil
import subprocess

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from scipy.signal import lfilter
from torch import Tensor

from ..audio import SAMPLE_RATE
from .dice import Dice

WORDS = {
    "en-us": "the river always carries yellow leaves below our open window when autumn begins to move over every hill "
    "people wonder who sings so early about warm bread and bright mornings",
    "en-gb": "my neighbour ought to bring a larger boat because the water rises quickly after a long week of rain "
    "nobody knows how far the old road really goes",
    "de": "der alte Baum steht ruhig im Garten und viele Vögel singen schon am frühen Morgen wenn die Sonne über den "
    "Dächern aufgeht wir hören ihnen gerne zu",
    "fr-fr": "la petite maison près du port ouvre ses volets bleus quand le vent arrive et nous buvons un café chaud "
    "avec des amis toujours heureux de parler",
    "es": "mañana vamos a caminar por la playa con todos los niños porque el cielo está claro y el agua parece muy "
    "tranquila desde aquí",
    "it": "ogni giorno una barca piccola torna al porto con molto pesce e la gente aspetta vicino alla piazza per "
    "comprare e parlare insieme",
}
VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+m1", "+m2", "+m3", "+m4", "+m7")
WAV_RATE = slice(24, 28)  # of the header
WAV_DATA = b"data"  # followed by four bytes of length and the samples

VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
    (490, 1350, 1690),
)
BANDWIDTHS = (80, 110, 160)  # Hz, of the formants
TICK = 80  # samples, 5 ms: how often the built-in voice changes


def check_espeak() -> None:
    if shutil.which("espeak-ng") is None:
        raise FileNotFoundError("espeak-ng, which speaks for the drawn people, is not installed: install it.")


def espeak(seed: int, seconds: float) -> Tensor:
    """Real speech, in one of several languages, voices, speeds and pitches: (N,) at 16 kHz, -1..1"""
    check_espeak()
    dice = Dice(seed, subject=2)
    language = dice.pick(tuple(WORDS))
    voice, speed, pitch = language + dice.pick(VARIANTS), dice.between(125, 215), dice.between(15, 85)
    command = ["espeak-ng", "--stdout", "-b", "1", "-v", voice, "-s", f"{speed:.0f}", "-p", f"{pitch:.0f}"]
    heard, length = [], round(seconds * SAMPLE_RATE)
    while sum(map(len, heard)) < length:
        spoken = subprocess.run([*command, "--", _sentence(dice, language)], capture_output=True, check=True)
        heard += [_decoded(spoken.stdout), torch.zeros(int(dice.between(0.05, 0.6) * SAMPLE_RATE))]
    return torch.cat(heard)[:length]


def _sentence(dice: Dice, language: str) -> str:
    words = [dice.pick(WORDS[language].split()) for _ in range(dice.pick((3, 5, 7, 9)))]
    if len(words) > 4 and dice.chance(0.5):
        words[len(words) // 2] += ","
    return " ".join(words) + dice.pick(".?!")


def _decoded(wav: bytes) -> Tensor:
    """espeak-ng writes a length that is not known yet, which readers of WAV files refuse."""
    samples = wav[wav.index(WAV_DATA) + 8 :]
    samples = torch.from_numpy(np.frombuffer(samples, dtype="<i2").astype(np.float32) / 32768)
    return torchaudio.functional.resample(samples, int.from_bytes(wav[WAV_RATE], "little"), SAMPLE_RATE)


def babble(seed: int, seconds: float) -> Tensor:
    """The built-in voice, speech in rhythm and sound but not in words: (N,) at 16 kHz, -1..1"""
    dice = Dice(seed, subject=2)
    ticks = max(round(seconds * SAMPLE_RATE / TICK), 1)
    loudness, breath, formants = _syllables(dice, ticks)
    pulses = _pulses(dice, ticks)
    noise = dice.normal(ticks, TICK).numpy()
    source = (1 - breath)[:, None] * pulses + 0.25 * breath[:, None] * noise
    voice = _resonated(source * loudness[:, None], formants)
    voice = torch.from_numpy(voice).float()
    voice = 0.6 * voice / voice.abs().max().clamp(min=1e-6)
    length = round(seconds * SAMPLE_RATE)
    return F.pad(voice, (0, length - len(voice)))


def _syllables(dice: Dice, ticks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loudness (ticks,), how much is noise (ticks,), and formants in Hz (ticks, 3)."""
    loudness, breath, formants = np.zeros(ticks), np.zeros(ticks), np.zeros((ticks, 3))
    size, at = dice.between(0.9, 1.2), 0
    while at < ticks:
        hissing, pause = dice.chance(0.25), dice.chance(0.12)
        length = int(dice.between(*((40, 110) if pause else (10, 24) if hissing else (22, 60))))
        now = slice(at, at + length)
        bow = np.sin(np.pi * (np.arange(length) + 0.5) / length)[: max(ticks - at, 0)]
        loudness[now] = 0 if pause else bow * (dice.between(0.1, 0.25) if hissing else dice.between(0.3, 1))
        breath[now] = hissing
        formants[now] = (2400, 3400, 4600) if hissing else size * np.array(dice.pick(VOWELS))
        at += length
    glide = np.ones(9) / 9
    smooth = [np.convolve(np.pad(f, 4, mode="edge"), glide, mode="valid") for f in formants.T]
    return loudness, breath, np.stack(smooth, axis=1)


def _pulses(dice: Dice, ticks: int) -> np.ndarray:
    """One at the start of each period of a pitch that wanders: (ticks, TICK)"""
    seconds = np.arange(ticks * TICK) / SAMPLE_RATE
    wander = np.sin(2 * np.pi * (dice.between(0.3, 0.9) * seconds + dice.between(0, 1)))
    phase = np.cumsum(dice.between(95, 240) * (1 + 0.12 * wander)) / SAMPLE_RATE
    pulses = np.diff(np.floor(phase), prepend=0) * 8 - 8 * np.diff(phase, prepend=0)
    return pulses.reshape(ticks, TICK)


def _resonated(source: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """Through one resonator after the other, each of which changes with every tick: (ticks * TICK,)"""
    states = np.zeros((len(BANDWIDTHS), 2))
    voice = np.empty_like(source)
    for tick, (sound, frequencies) in enumerate(zip(source, formants, strict=True)):
        for state, frequency, bandwidth in zip(states, frequencies, BANDWIDTHS, strict=True):
            radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
            poles = [1, -2 * radius * np.cos(2 * np.pi * frequency / SAMPLE_RATE), radius**2]
            sound, state[:] = lfilter([sum(poles)], poles, sound, zi=state)
        voice[tick] = sound
    return voice.reshape(-1)


def spoiled(seed: int, waveform: Tensor) -> Tensor:
    """The voice as a worse microphone hears it: louder or quieter, with noise behind it."""
    dice = Dice(seed, subject=3)
    gain, noise = 10 ** dice.between(-1, 0.2), 10 ** dice.between(-3, -1.3)
    level = waveform.square().mean().sqrt()
    return gain * (waveform + noise * level * dice.normal(len(waveform)).float())


def with_silence(seed: int, waveform: Tensor) -> Tensor:
    """A stretch of the clip, up to a third, in which nothing is said."""
    dice = Dice(seed, subject=4)
    length = int(dice.between(0, len(waveform) / 3))
    first = int(dice.between(0, len(waveform) - length))
    quiet = waveform.clone()
    quiet[first : first + length] = 0
    return quiet
