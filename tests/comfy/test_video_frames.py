"""Reading a VIDEO picture by picture, against what core makes of the whole of it."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import torch
from comfy_api.latest import InputImpl, Types
from pack.vexpress.comfyui.video_frames import video_frames

WIDTH, HEIGHT, FRAMES, RATE = 96, 64, 40, Fraction(30000, 1001)


def pictures():
    """A red corner top left on a grey that gets brighter by 4 levels a frame."""
    for number in range(FRAMES):
        picture = np.full((HEIGHT, WIDTH, 3), 40 + 4 * number, np.uint8)
        picture[: HEIGHT // 2, : WIDTH // 2] = [200, 30, 30]
        yield picture


def write_video(
    target, rotation: int = 0, times: list[int] | None = None, size=(WIDTH, HEIGHT), format="mp4"
):
    """times: of each frame, in 1/30 s; otherwise one after the other at RATE"""
    with av.open(target, "w", format=format) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "4", "g": "15"})
        (stream.width, stream.height), stream.pix_fmt = size, "yuv444p"
        if rotation:
            stream.set_display_rotation(rotation)
        if times:
            stream.codec_context.time_base = Fraction(1, 30)
            stream.codec_context.max_b_frames = 0  # they blur what mp4 says of each frame's time
        for number, picture in enumerate(pictures()):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(write_video(tmp_path_factory.mktemp("video") / "plain.mp4"))


def write_with_sound(path, seconds: float):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, int(48000 * seconds)), np.float32), "fltp", "mono")
        samples.sample_rate = 48000
        container.mux([*stream.encode(None), *sound.encode(samples), *sound.encode(None)])
    return str(path)


def brightness(frames) -> list[int]:
    """Of the grey corner, as a frame number."""
    return [round((float(frame[-4:, -4:].mean()) - 40) / 4) for frame in frames]


def test_frames_come_in_order_with_their_rate_and_size(path):
    frames = video_frames(InputImpl.VideoFromFile(path))
    assert (frames.fps, frames.width, frames.height, frames.count) == (RATE, WIDTH, HEIGHT, FRAMES)
    assert brightness(frames) == list(range(FRAMES))


def test_frames_can_be_read_twice(path):
    frames = video_frames(InputImpl.VideoFromFile(path))
    assert brightness(frames) == brightness(frames)


@pytest.mark.parametrize("start, duration", [(0, 0), (0.5, 0), (0, 0.4), (0.35, 0.5), (-0.5, 0)])
def test_frames_are_the_ones_that_core_gives_for_the_same_trim(path, start, duration):
    video = InputImpl.VideoFromFile(path, start_time=start, duration=duration)
    images = video.get_components().images
    frames = video_frames(video)
    difference = torch.stack([torch.from_numpy(frame) for frame in frames]) / 255 - images
    assert difference.abs().max() < 2 / 255
    assert abs(frames.count - len(images)) <= 1


def test_a_trim_behind_the_end_is_refused(path):
    with pytest.raises(ValueError, match="no picture from 9 s to 10 s"):
        video_frames(InputImpl.VideoFromFile(path, start_time=9, duration=1))


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turned_video_comes_upright(tmp_path, rotation):
    video = InputImpl.VideoFromFile(str(write_video(tmp_path / "turned.mp4", rotation)))
    frames = video_frames(video)
    images = video.get_components().images
    assert (frames.height, frames.width) == images.shape[1:3] == next(iter(frames)).shape[:2]
    upright = np.rot90(next(pictures()), rotation // 90)
    assert np.abs(next(iter(frames)).astype(int) - upright).max() < 12  # the codec rings at the red edge


def test_a_variable_frame_rate_gives_every_frame_once_at_the_average_rate(tmp_path):
    times = [*range(20), *range(20, 60, 2)]  # 20 frames at 30 fps, 20 at 15 fps
    frames = video_frames(InputImpl.VideoFromFile(str(write_video(tmp_path / "phone.mp4", times=times))))
    assert brightness(frames) == list(range(FRAMES))
    assert float(frames.fps) == pytest.approx(20, abs=0.5)
    assert frames.count == FRAMES


def test_a_video_that_changes_its_size_is_refused(tmp_path):
    parts = [
        write_video(io.BytesIO(), size=size, format="mpegts").getvalue() for size in [(96, 64), (64, 96)]
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    frames = video_frames(InputImpl.VideoFromFile(str(tmp_path / "joined.ts")))
    with pytest.raises(ValueError, match="Frame 40 of the video has 64x96 pixels, the first one 96x64"):
        list(frames)


@pytest.mark.parametrize(
    "suffix, start, duration, expected",
    [("ts", 0, 0, 40), ("mp4", 0, 0, 40), ("mp4", 0.5, 0, 25), ("mp4", 0.3, 0.6, 18), ("mp4", 0.5, 9, 25)],
)
def test_sound_that_goes_on_is_not_counted(tmp_path, suffix, start, duration, expected):
    path = write_with_sound(tmp_path / f"long.{suffix}", seconds=3)
    frames = video_frames(InputImpl.VideoFromFile(path, start_time=start, duration=duration))
    assert frames.count == expected


@pytest.mark.parametrize("start, duration", [(0, 0), (0.5, 0.2)])
def test_a_stream_without_times_is_read_as_a_whole(tmp_path, start, duration):
    path = write_video(tmp_path / "raw.h264", format="h264")
    frames = video_frames(InputImpl.VideoFromFile(str(path), start_time=start, duration=duration))
    assert brightness(frames) == list(range(FRAMES))


def test_the_frames_of_a_stream_without_times_are_counted(tmp_path):
    path = write_video(tmp_path / "raw.h264", format="h264")
    assert video_frames(InputImpl.VideoFromFile(str(path))).count == FRAMES


def test_a_video_in_memory_is_read_as_a_file_is():
    frames = video_frames(InputImpl.VideoFromFile(write_video(io.BytesIO())))
    assert brightness(frames) == list(range(FRAMES))


def test_a_video_of_images_is_read_without_writing_it():
    images = torch.stack([torch.from_numpy(picture) for picture in pictures()]) / 255
    components = Types.VideoComponents(images=images, frame_rate=Fraction(25))
    frames = video_frames(InputImpl.VideoFromComponents(components))
    assert (frames.fps, frames.width, frames.height, frames.count) == (25, WIDTH, HEIGHT, FRAMES)
    assert all(np.array_equal(*pair) for pair in zip(frames, pictures(), strict=True))


def test_memory_does_not_grow_with_the_length(tmp_path):
    with av.open(str(tmp_path / "long.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((256, 256, 3), np.uint8), "rgb24")
        for _ in range(2000):  # 400 MB as pictures
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    memory = psutil.Process().memory_info
    used = [memory().rss for _ in video_frames(InputImpl.VideoFromFile(str(tmp_path / "long.mp4")))]
    assert len(used) == 2000
    assert max(used) - used[100] < 40e6


def test_a_damaged_file_is_said_in_a_sentence(path, tmp_path):
    damaged = tmp_path / "damaged.mp4"
    whole = Path(path).read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])  # its index lies at the end
    with pytest.raises(ValueError, match="The video cannot be read, its file is damaged or no video"):
        video_frames(InputImpl.VideoFromFile(str(damaged)))


def test_a_file_with_nothing_but_sound_has_no_picture(tmp_path):
    path = str(tmp_path / "sound.mp4")
    with av.open(path, "w") as container:
        sound = container.add_stream("aac", rate=48000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), "fltp", "mono")
        samples.sample_rate = 48000
        container.mux([*sound.encode(samples), *sound.encode(None)])
    with pytest.raises(ValueError, match="The video has no picture from 0 s to its end"):
        video_frames(InputImpl.VideoFromFile(path))
