"""The streaming writer, by decoding what it wrote."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from comfy_api.latest import InputImpl
from pack.vexpress.comfyui.video_frames import video_frames
from pack.vexpress.comfyui.video_writer import Sound, join_videos, write_video

LEVEL = 1 / 255


def pictures(video):
    return torch.stack([torch.from_numpy(frame) for frame in video_frames(video)]) / 255


def chart():
    """27 colours in squares of 32 pixels."""
    levels = torch.tensor([0.0, 0.5, 1.0])
    colours = torch.cartesian_prod(levels, levels, levels).reshape(3, 9, 3)
    return colours.repeat_interleave(32, 0).repeat_interleave(32, 1)


def write(path, frames=10, rate=Fraction(25), sound=None, image=None):
    with write_video(path, rate, sound) as writer:
        for _ in range(frames):
            writer.write(chart() if image is None else image)
    return InputImpl.VideoFromFile(str(path))


def test_colours_do_not_shift(tmp_path):
    video = write(tmp_path / "chart.mp4")
    centres = pictures(video)[0, 16::32, 16::32]
    assert (centres - chart()[16::32, 16::32]).abs().max() <= 2 * LEVEL
    assert (video.get_components().images[0] - chart()).abs().mean() < 3 * LEVEL  # as ComfyUI reads it
    with av.open(str(tmp_path / "chart.mp4")) as file:
        codec = file.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (1, 1, 1, 1)
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(1488244, 49997)])
@pytest.mark.parametrize(
    "sample_rate, channels, seconds", [(48000, 2, 9.0), (16000, 1, 1.0), (44100, 6, 2.0)]
)
def test_sound_is_as_long_as_the_pictures(tmp_path, rate, sample_rate, channels, seconds):
    blocks = (np.full((channels, 1000), 0.1, np.float32) for _ in range(int(seconds * sample_rate / 1000)))
    video = write(tmp_path / "v.mp4", 71, rate, Sound(blocks, sample_rate, channels))
    assert video.get_frame_rate() == rate
    with av.open(video.get_stream_source()) as file:
        lasts = [float(s.duration * s.time_base) for s in (file.streams.video[0], file.streams.audio[0])]
    assert lasts == pytest.approx([71 / rate] * 2, abs=0.5 / rate)


def test_sound_lies_beside_its_pictures_in_the_file(tmp_path):
    blocks = (np.zeros((1, 4800), np.float32) for _ in range(1000))
    video = write(tmp_path / "v.mp4", 250, Fraction(25), Sound(blocks, 48000, 1))
    with av.open(video.get_stream_source()) as file:
        times = {"video": 0.0, "audio": 0.0}
        packets = sorted((p for p in file.demux() if p.dts is not None), key=lambda p: p.pos)
        for packet in packets:
            times[packet.stream.type] = float(packet.dts * packet.time_base)
            assert abs(times["video"] - times["audio"]) < 0.5


def test_sound_is_drawn_no_faster_than_the_pictures(tmp_path):
    drawn = []

    def blocks():
        for number in range(100):
            drawn.append(number)
            yield np.zeros((1, 1920), np.float32)  # one picture long

    with write_video(tmp_path / "v.mp4", Fraction(25), Sound(blocks(), 48000, 1)) as writer:
        writer.write(chart())
        writer.write(chart())
        assert drawn == [0, 1]


@pytest.mark.parametrize("size", [(5, 7), (1, 1)])
def test_odd_sizes_become_even(tmp_path, size):
    video = write(tmp_path / "v.mp4", 3, image=torch.rand(*size, 3))
    assert video.get_dimensions() == (size[1] + 1, size[0] + 1)


def test_nothing_appears_when_a_frame_fails(tmp_path):
    with (
        pytest.raises(ValueError, match="Frame 1 has 288x94 pixels, the first one 288x96"),
        write_video(tmp_path / "v.mp4", Fraction(25)) as writer,
    ):
        writer.write(chart())
        writer.write(chart()[:-2])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("frames", [80, 5])  # while writing, and not before the end
def test_nothing_appears_when_the_disk_is_full(tmp_path, frames):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError):
            with write_video(tmp_path / "v.mp4", Fraction(25)) as writer:
                for _ in range(frames):
                    writer.write(torch.rand(256, 256, 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_parts_join_into_the_video_that_they_are_parts_of(tmp_path):
    rate, sizes = Fraction(30000, 1001), (10, 1, 2, 12)
    generator = torch.Generator().manual_seed(3)
    parts = [tmp_path / f"{number}.mp4" for number in range(len(sizes))]
    for part, size in zip(parts, sizes, strict=True):
        with write_video(part, rate) as writer:
            for _ in range(size):
                writer.write(torch.rand(4, 6, 3, generator=generator).repeat_interleave(8, 0))
    joined = tmp_path / "joined.mp4"
    join_videos(parts, joined, rate, Sound([np.full((1, 8000), 0.1, np.float32)], 16000, 1))
    expected = torch.cat([pictures(InputImpl.VideoFromFile(str(part))) for part in parts])
    video = InputImpl.VideoFromFile(str(joined))
    assert torch.equal(pictures(video), expected)
    assert video.get_frame_rate() == rate
    with av.open(str(joined)) as file:
        times = [frame.pts * frame.time_base for frame in file.decode(video=0)]
        sound = file.streams.audio[0]
        assert abs(sound.duration * sound.time_base - sum(sizes) / rate) < 1 / rate
    assert times == [number / rate for number in range(sum(sizes))]


def test_the_same_pictures_give_the_same_file(tmp_path):
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(7, 8, 8, 3, generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    files, random, used = set(), np.random.default_rng(5), []
    for _ in range(30):
        sizes = random.choice([3000, 9000, 20_000, 40_000, 100_000, 120_000], 300)
        fresh = [random.integers(0, 255, size, dtype=np.uint8) for size in sizes]
        used[:] = [
            fresh[i] for i in random.permutation(300)[::2]
        ]  # the rest is memory that nobody has written
        del fresh
        with write_video(tmp_path / "v.mp4", Fraction(25)) as writer:
            for block in blocks:
                writer.write(block)
        files.add((tmp_path / "v.mp4").read_bytes())
    assert len(files) == 1


def test_a_full_disk_and_a_forbidden_folder_are_said_in_a_sentence(tmp_path):
    with pytest.raises(OSError, match="^/sys/kernel may not be written: change"):
        write(Path("/sys/kernel/v.mp4"))
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=f"^The disk is full, so {tmp_path} could not be written"):
            write(tmp_path / "v.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_video_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one picture"):
        write(tmp_path / "v.mp4", 0)
    assert list(tmp_path.iterdir()) == []


def test_crf_weighs_the_size_of_the_file_against_what_is_lost(tmp_path):
    noise = torch.rand(1, 6, 8, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(noise[None], (96, 128), mode="bicubic")[0].clamp(0, 1)
    image = picture.expand(3, -1, -1).movedim(0, -1)
    sizes, lost = [], []
    for crf in (10, 18, 30):
        path = tmp_path / f"{crf}.mp4"
        with write_video(path, Fraction(25), crf=crf) as writer:
            for shift in range(12):
                writer.write(image.roll(shift, 1))
        sizes.append(path.stat().st_size)
        with av.open(str(path)) as video:
            shown = next(video.decode(video=0)).to_ndarray(format="rgb24")
        lost.append(np.abs(shown / 255 - image.numpy()).mean())
    assert sizes == sorted(sizes, reverse=True) and lost == sorted(lost) and sizes[0] > 1.5 * sizes[2]
