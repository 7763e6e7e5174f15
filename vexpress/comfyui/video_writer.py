"""Writes a video picture by picture, so that memory does not grow with its length."""

import contextlib
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy import ndarray
from torch import Tensor

from ..video import pad_to_even

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
BT709 = 1  # in H.264's tables of matrices, primaries and transfer curves alike
BITS_PER_SAMPLE = (
    4  # of sound; at FFmpeg's default, a third of it, a voice encoded twice begins with a crackle
)


class Sound(NamedTuple):
    """blocks: (C, N) samples in -1..1, float32; drawn when the pictures have come as far"""

    blocks: Iterable[ndarray]
    sample_rate: int
    channels: int


class VideoWriter:
    """
    H.264 in an mp4, and AAC exactly as long as the pictures: cut, or followed by silence.

    A context manager; the file appears under its name when the block ends well, and not at all otherwise.
    """

    def __init__(self, path: Path, rate: Fraction, sound: Sound | None = None):
        self._path = path
        self._partial = path.with_name(path.name + ".part")
        self._rate = rate
        self._sound = sound
        self._size = None
        self._frames = self._samples = 0

    def __enter__(self) -> "VideoWriter":
        self._file = av.open(self._partial, "w", format="mp4", options={"movflags": "faststart"})
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                self._finish()
                os.replace(self._partial, self._path)
        finally:
            with contextlib.suppress(av.FFmpegError):
                self._file.close()
            self._partial.unlink(missing_ok=True)

    def write(self, image: Tensor) -> None:
        """image: (H, W, 3) in 0..1; an odd size gets its last row or column twice"""
        picture = (pad_to_even(image[None])[0] * 255).round().clamp(0, 255).byte().cpu().numpy()
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
        if self._sound is not None:
            self._write_sound()

    def _add_streams(self) -> None:
        self._video = self._file.add_stream("libx264", rate=self._rate, pix_fmt="yuv420p")
        self._video.height, self._video.width, _ = self._size
        codec = self._video.codec_context
        codec.time_base = 1 / self._rate
        codec.colorspace = codec.color_primaries = codec.color_trc = BT709
        codec.color_range = ColorRange.MPEG
        if self._sound is not None:
            layout = LAYOUTS[self._sound.channels]
            self._audio = self._file.add_stream("aac", rate=self._sound.sample_rate, layout=layout)
            self._audio.bit_rate = BITS_PER_SAMPLE * self._sound.sample_rate * self._sound.channels
            self._blocks = iter(self._sound.blocks)
            self._block = np.zeros((self._sound.channels, 0), np.float32)

    def _write_sound(self) -> None:
        """As much as the pictures written so far last."""
        end = round(self._frames / self._rate * self._sound.sample_rate)
        while (due := end - self._samples) > 0:
            while self._block.shape[1] == 0:
                self._block = next(self._blocks, np.zeros((self._sound.channels, due), np.float32))
            block, self._block = self._block[:, :due], self._block[:, due:]
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block), "fltp", LAYOUTS[self._sound.channels]
            )
            frame.sample_rate, frame.time_base = self._sound.sample_rate, Fraction(1, self._sound.sample_rate)
            frame.pts = self._samples
            self._file.mux(self._audio.encode(frame))
            self._samples += block.shape[1]

    def _finish(self) -> None:
        if not self._frames:
            raise ValueError("A video needs at least one picture.")
        self._file.mux(self._video.encode())
        if self._sound is not None:
            self._file.mux(self._audio.encode())
        self._file.close()
