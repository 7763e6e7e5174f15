"""
Makes the example inputs: a drawn portrait with its V-Kps, a driving track, a driving video, a photo, a photo of
two people and two synthetic voices.

Needs torch, Pillow, PyAV, espeak-ng and ffmpeg. What it makes is committed, so only changing the examples needs it:
run it as `python tools make_examples` in the environment of dev.py.
"""

import math
import subprocess
import tempfile
from pathlib import Path

import av
import torch
from PIL import Image
from torch import Tensor

from ..vexpress.kps import Kps
from ..vexpress.kps_files import save_kps
from .example_person import SIZE, driver, portrait, portrait_points, two_people
from .photo import draw_photo

EXAMPLES = Path(__file__).resolve().parents[1] / "example_inputs"
FPS = 30
DRIVING_FRAMES = 120
VIDEO_SIZE = 256
VOICE = ("en-gb+f4", "A portrait and a voice: that is all it takes.")
SECOND_VOICE = ("en-gb+m3", "And I can answer, from the same photo.")


def portrait_kps() -> Kps:
    return Kps(portrait_points()[None], SIZE, SIZE, FPS)


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


def write_driving_video(path: Path) -> None:
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libx264", rate=FPS, options={"crf": "24", "preset": "veryslow"})
        stream.width = stream.height = VIDEO_SIZE
        stream.pix_fmt = "yuv420p"
        for picture in driver(DRIVING_FRAMES, FPS, VIDEO_SIZE).images:
            video.mux(stream.encode(av.VideoFrame.from_image(_image(picture))))
        video.mux(stream.encode())


def _image(picture: Tensor) -> Image.Image:
    """(3, H, W) 0..1"""
    return Image.fromarray((picture.movedim(0, -1) * 255).round().byte().numpy())


def write_voice(path: Path, voice: str, sentence: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        spoken = Path(scratch) / "voice.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", spoken, sentence], check=True)
        convert = ["ffmpeg", "-loglevel", "error", "-y", "-i", spoken, "-ar", "16000", "-ac", "1"]
        subprocess.run([*convert, "-sample_fmt", "s16", "-compression_level", "12", path], check=True)


def main(arguments: list[str]) -> int:
    _image(portrait().images[0]).save(EXAMPLES / "v-express_portrait.png", optimize=True)
    save_kps(portrait_kps(), EXAMPLES / "v-express_portrait_kps.json")
    save_kps(driving_kps(), EXAMPLES / "v-express_driving_kps.json")
    write_driving_video(EXAMPLES / "v-express_driving.mp4")
    draw_photo().save(EXAMPLES / "v-express_photo.jpg", quality=88, optimize=True)
    _image(two_people()).save(EXAMPLES / "v-express_two_people.jpg", quality=88, optimize=True)
    write_voice(EXAMPLES / "v-express_voice.flac", *VOICE)
    write_voice(EXAMPLES / "v-express_voice_2.flac", *SECOND_VOICE)
    return 0
