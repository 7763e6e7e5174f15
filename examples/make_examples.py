"""
Makes the examples: a drawn portrait with its V-Kps, a driving track and a synthetic voice.

Needs torch, Pillow, espeak-ng and ffmpeg. What it makes is committed, so only changing the examples needs it.
"""

import math
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import torch

HERE = Path(__file__).parent
pack = types.ModuleType("pack")
pack.__path__ = [str(HERE.parent)]
sys.modules["pack"] = pack

from pack.examples.portrait import LEFT_EYE, NOSE, RIGHT_EYE, SIZE, draw_portrait  # noqa: E402
from pack.vexpress.kps import Kps  # noqa: E402
from pack.vexpress.kps_files import save_kps  # noqa: E402

FPS = 30
DRIVING_FRAMES = 120
SENTENCE = "A portrait and a voice: that is all it takes."


def portrait_kps() -> Kps:
    return Kps(torch.tensor([[LEFT_EYE, RIGHT_EYE, NOSE]]), SIZE, SIZE, FPS)


def driving_kps() -> Kps:
    """Another face, smaller and to the side, that looks around, nods and sways a little."""
    frames = [_head_at(frame / FPS) for frame in range(DRIVING_FRAMES)]
    points = (torch.tensor(frames) * 16).round() / 16  # short numbers in the file
    return Kps(points, 640, 640, FPS)


def _head_at(seconds: float) -> list[tuple[float, float]]:
    """A head as three points in space, turned, seen from straight ahead."""
    yaw = math.radians(9) * math.sin(math.tau * seconds / 3.1)
    pitch = math.radians(5) * math.sin(math.tau * seconds / 1.9 + 0.6)
    roll = math.radians(4) * math.sin(math.tau * seconds / 4.3 + 1.1)
    centre = (352 + 7 * math.sin(math.tau * seconds / 3.7), 258 + 4 * math.sin(math.tau * seconds / 2.3))
    return [_seen(point, yaw, pitch, roll, centre) for point in [(-47, 0, 62), (47, 0, 62), (0, 56, 96)]]


def _seen(point, yaw: float, pitch: float, roll: float, centre) -> tuple[float, float]:
    x, y, z = point
    x, z = x * math.cos(yaw) + z * math.sin(yaw), z * math.cos(yaw) - x * math.sin(yaw)
    y = y * math.cos(pitch) + z * math.sin(pitch)
    x, y = x * math.cos(roll) - y * math.sin(roll), x * math.sin(roll) + y * math.cos(roll)
    return centre[0] + x, centre[1] + y


def write_voice(path: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        spoken = Path(scratch) / "voice.wav"
        subprocess.run(["espeak-ng", "-v", "en-gb+f4", "-s", "150", "-w", spoken, SENTENCE], check=True)
        convert = ["ffmpeg", "-loglevel", "error", "-y", "-i", spoken, "-ar", "16000", "-ac", "1"]
        subprocess.run([*convert, "-sample_fmt", "s16", "-compression_level", "12", path], check=True)


if __name__ == "__main__":
    draw_portrait().save(HERE / "portrait.png", optimize=True)
    save_kps(portrait_kps(), HERE / "portrait_kps.json")
    save_kps(driving_kps(), HERE / "driving_kps.json")
    write_voice(HERE / "voice.flac")
