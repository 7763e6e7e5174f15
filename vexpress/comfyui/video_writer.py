"""Writes a video picture by picture, so that memory does not grow with its length."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace
from numpy import ndarray
from torch import Tensor

from ..pictures import as_bytes
from ..video import pad_to_even
from .disk import replace, said_in_a_sentence

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
BT709 = 1  # in H.264's tables of matrices, primaries and transfer curves alike
BITS_PER_SAMPLE = (
    4  # of sound; at FFmpeg's default, a third of it, a voice encoded twice begins with a crackle
)
CRF = 18  # x264's quality, 0 (exact) to 51: 18 looks lossless, and every further encoding begins with it
SAME_EACH_TIME = {"x264-params": "mbtree=0"}  # x264's macroblock tree reads memory that nobody has written


class Sound(NamedTuple):
    """blocks: (C, N) samples in -1..1, float32; drawn when the pictures have come as far"""

    blocks: Iterable[ndarray]
    sample_rate: int
    channels: int


@contextlib.contextmanager
def write_video(
    path: Path, rate: Fraction, sound: Sound | None = None, crf: int = CRF
) -> Iterator["VideoWriter"]:
    """A video to be written; the file appears under its name when the block ends well, and not at all otherwise."""
    with mp4(path) as file:
        writer = VideoWriter(file, rate, sound, crf)
        yield writer
        writer.finish()


class VideoWriter:
    """H.264 in an mp4, and AAC exactly as long as the pictures: cut, or followed by silence."""

    def __init__(self, file: OutputContainer, rate: Fraction, sound: Sound | None, crf: int):
        self._file = file
        self._options = SAME_EACH_TIME | {"crf": str(crf)}
        self._rate = rate
        self._sound = sound
        self._size = None
        self._frames = 0

    def write(self, image: Tensor) -> None:
        """image: (H, W, 3) in 0..1; an odd size gets its last row or column twice"""
        picture = as_bytes(pad_to_even(image[None])[0])
        if self._size is None:
            self._size = picture.shape
            self._add_streams()
        if picture.shape != self._size:
            (height, width, _), (first_height, first_width, _) = picture.shape, self._size
            raise ValueError(
                f"Frame {self._frames} has {width}x{height} pixels, the first one {first_width}x{first_height}."
            )
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.time_base = self._frames, 1 / self._rate
        self._file.mux(self._video.encode(frame))
        self._frames += 1
        self._voice.write_until(self._frames / self._rate)

    def _add_streams(self) -> None:
        self._video = self._file.add_stream(
            "libx264", rate=self._rate, pix_fmt="yuv420p", options=self._options
        )
        self._video.height, self._video.width, _ = self._size
        codec = self._video.codec_context
        codec.time_base = 1 / self._rate
        codec.colorspace = codec.color_primaries = codec.color_trc = BT709
        codec.color_range = ColorRange.MPEG
        self._voice = SoundStream(self._file, self._sound)

    def finish(self) -> None:
        if not self._frames:
            raise ValueError("A video needs at least one picture.")
        self._file.mux(self._video.encode())
        self._voice.finish()


class SoundStream:
    """The sound of a video, encoded as far as its pictures have come; nothing if there is none."""

    def __init__(self, file: OutputContainer, sound: Sound | None):
        self._file, self._sound = file, sound
        self._samples = 0
        if sound is not None:
            self._stream = file.add_stream("aac", rate=sound.sample_rate, layout=LAYOUTS[sound.channels])
            self._stream.bit_rate = BITS_PER_SAMPLE * sound.sample_rate * sound.channels
            self._blocks = iter(sound.blocks)
            self._block = np.zeros((sound.channels, 0), np.float32)

    def write_until(self, seconds: Fraction) -> None:
        if self._sound is None:
            return
        _, sample_rate, channels = self._sound
        end = round(seconds * sample_rate)
        while (due := end - self._samples) > 0:
            while self._block.shape[1] == 0:
                self._block = next(self._blocks, np.zeros((channels, due), np.float32))
            block, self._block = self._block[:, :due], self._block[:, due:]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", LAYOUTS[channels])
            frame.sample_rate, frame.time_base = sample_rate, Fraction(1, sample_rate)
            frame.pts = self._samples
            self._file.mux(self._stream.encode(frame))
            self._samples += block.shape[1]

    def finish(self) -> None:
        if self._sound is not None:
            self._file.mux(self._stream.encode())


def join_videos(parts: list[Path], path: Path, rate: Fraction, sound: Sound | None) -> None:
    """Silent videos of VideoWriter, one after the other, copied as they are; the sound is new."""
    with mp4(path) as file:
        with av.open(parts[0]) as first:
            video = file.add_stream_from_template(first.streams.video[0])
        voice = SoundStream(file, sound)
        for frames, packet in _packets(parts, rate):
            packet.stream = video
            file.mux(packet)
            voice.write_until(frames / rate)
        voice.finish()


def _packets(parts: list[Path], rate: Fraction) -> Iterator[tuple[int, av.Packet]]:
    """The pictures of the parts on one clock; with each, how many there have been."""
    frames, delay = 0, None  # delay: how long before it is shown a picture is decoded, at most
    for part in parts:
        with av.open(part) as container:
            stream = container.streams.video[0]
            tick, before = 1 / rate / stream.time_base, frames
            for packet in container.demux(stream):
                if packet.size == 0:  # the demuxer's sign of the end
                    continue
                delay = -packet.dts if delay is None else delay
                packet.pts += round(before * tick)
                packet.dts = round(frames * tick) - delay  # a part of one or two pictures has no delay
                frames += 1
                yield frames, packet


def count_frames(path: Path) -> int:
    """Whole pictures in a video of VideoWriter; 0 if it is gone or damaged. Raises OSError if it cannot be read."""
    try:
        with av.open(path) as video:  # its header promises pictures that may be cut off
            return sum(packet.size > 0 and not packet.is_corrupt for packet in video.demux(video=0))
    except (FileNotFoundError, ValueError, IndexError):  # one is PyAV's InvalidDataError
        return 0


@contextlib.contextmanager
def mp4(path: Path) -> Iterator[OutputContainer]:
    """A file to be written that is never half there under its name."""
    partial = path.with_name(path.name + ".part")
    with said_in_a_sentence(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = av.open(partial, "w", format="mp4", options={"movflags": "faststart"})
        try:
            yield file
            file.close()
            _reach_disk(partial)
            replace(partial, path)
        finally:
            with contextlib.suppress(av.FFmpegError):
                file.close()
            partial.unlink(missing_ok=True)


def _reach_disk(path: Path) -> None:
    """So that after a power cut nothing is under its name that is not whole."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
