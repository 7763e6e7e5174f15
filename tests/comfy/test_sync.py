"""A click is heard while its flash is seen: within one frame, at every rate and length, through every way to a file."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from models import GreyVAE
from pack.nodes.video import AssembleVideo
from pack.vexpress.comfyui import render as rendering
from pack.vexpress.comfyui.video_sound import audio_sound
from pack.vexpress.comfyui.video_writer import join_videos, write_video
from pack.vexpress.video import frame_rate

RATES = (24, 25, 29.97, 30, 50, 60)
SAMPLE_RATE = 44100
CLICK = 0.005  # seconds


def flashes(fps: float, seconds: float) -> list[int]:
    """Frames that are white: some near the beginning and the end, and one every ten seconds."""
    frames = round(seconds * frame_rate(fps))
    return sorted({3, frames // 2, frames - 4, *range(frames // 3, frames - 4, round(10 * fps))})


def click_track(fps: float, seconds: float, sample_rate: int) -> dict:
    """Silence, and a click at the time of every flash."""
    waveform = torch.zeros(1, 1, round(seconds * sample_rate))
    click = torch.sin(torch.arange(round(CLICK * sample_rate)) * 2 * torch.pi * 2000 / sample_rate)
    for frame in flashes(fps, seconds):
        start = round(frame / frame_rate(fps) * sample_rate)
        waveform[..., start : start + len(click)] = click
    return {"waveform": waveform, "sample_rate": sample_rate}


def pictures(fps: float, seconds: float):
    white = set(flashes(fps, seconds))
    for number in range(round(seconds * frame_rate(fps))):
        yield torch.full((32, 32, 3), float(number in white))


def seen(path: Path) -> list[float]:
    """Seconds at which bright frames are shown."""
    with av.open(str(path)) as file:
        return [frame.time for frame in file.decode(video=0) if frame.to_ndarray(format="gray").mean() > 128]


def heard(path: Path) -> list[float]:
    """Seconds at which clicks begin."""
    found, last = [], -1.0
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.3)
            for time in frame.time + loud / frame.sample_rate:
                if time - last > 3 * CLICK:
                    found.append(time)
                last = time
    return found


def assert_together(path: Path, fps: float, seconds: float) -> None:
    expected = [float(frame / frame_rate(fps)) for frame in flashes(fps, seconds)]
    assert seen(path) == pytest.approx(expected, abs=0.002)
    assert heard(path) == pytest.approx(expected, abs=0.25 / fps)


@pytest.mark.parametrize("sample_rate", [8000, 16000, SAMPLE_RATE, 48000, 192000])
def test_assemble_and_save_video_keep_a_click_at_its_flash(sample_rate, tmp_path):
    audio = click_track(29.97, 2.0, sample_rate)
    images = torch.stack([*pictures(29.97, 2.0)])
    AssembleVideo.execute(images, 29.97, False, audio).args[0].save_to(str(tmp_path / "v.mp4"))
    assert_together(tmp_path / "v.mp4", 29.97, 2.0)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("seconds", [0.5, 10.0])
def test_at_every_rate_core_and_our_writer_keep_a_click_at_its_flash(fps, seconds, tmp_path):
    audio = click_track(fps, seconds, SAMPLE_RATE)
    images = torch.stack([*pictures(fps, seconds)])
    AssembleVideo.execute(images, fps, False, audio).args[0].save_to(str(tmp_path / "core.mp4"))
    assert_together(tmp_path / "core.mp4", fps, seconds)
    written(tmp_path / "ours.mp4", fps, seconds)
    assert_together(tmp_path / "ours.mp4", fps, seconds)


def written(path: Path, fps: float, seconds: float) -> None:
    """As V-Express Render writes: silent parts, then joined with the sound."""
    rate, frames = frame_rate(fps), pictures(fps, seconds)
    count, parts = round(seconds * rate), []
    while count > 0:
        parts.append(path.with_name(f"{len(parts)}.mp4"))
        with write_video(parts[-1], rate) as video:
            for _ in range(min(count, 200)):
                video.write(next(frames))
        count -= 200
    join_videos(parts, path, rate, audio_sound(click_track(fps, seconds, SAMPLE_RATE), seconds))


@pytest.mark.slow
@pytest.mark.parametrize("fps", [24, 25, 29.97, 60])
def test_after_ten_minutes_a_click_is_still_at_its_flash(fps, tmp_path):
    written(tmp_path / "long.mp4", fps, 600.0)
    assert_together(tmp_path / "long.mp4", fps, 600.0)


def test_render_keeps_a_click_at_its_flash(short_windows, small_portrait, monkeypatch):
    """The whole of it: a VAE that shows white where the clip's flashes are."""
    from pack.vexpress.comfyui import clip as clips
    from test_sampling import clip

    monkeypatch.setattr(clips, "SEGMENT", 1)  # window
    fps, frames = 25.0, 15
    seconds = frames / fps
    source = pictures(fps, seconds)

    class Flashing(GreyVAE):
        def decode(self, latents):
            return torch.stack([next(source) for _ in latents])

    audio = click_track(fps, seconds, SAMPLE_RATE)
    path = rendering.render(
        short_windows, *clip(small_portrait, frames), Flashing(), audio, fps, 1, 1, 1.0, False
    )
    assert frame_rate(fps) == Fraction(25)
    assert_together(path, fps, seconds)
