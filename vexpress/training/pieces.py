"""Clips as they are read: from a second to a second of a file, and never so long that memory would tell."""

import itertools
import math
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from comfy_api.latest import Input, InputImpl

from ..comfyui.video_frames import opened, video_frames
from .lists import Clip

LONGEST = 60.0  # seconds: a longer clip is prepared in equal pieces


class Piece(NamedTuple):
    """
    start:    in the file's own time, which need not begin at 0
    duration: 0 for what is left of the file
    first:    the frame of the file that it begins with
    """

    name: str
    file: Path
    start: float
    duration: float
    first: int
    face: tuple[float, float] | None

    @property
    def video(self) -> InputImpl.VideoFromFile:
        return InputImpl.VideoFromFile(str(self.file), start_time=self.start, duration=self.duration)


def pieces(clip: Clip) -> list[Piece]:
    """Only the file's header and first picture are read."""
    frames = video_frames(InputImpl.VideoFromFile(str(clip.file)))
    fps = float(frames.fps)
    zero, length = _first_picture(clip.file), frames.count / fps
    start, end = clip.span.seconds(fps) if clip.span else (0.0, length)
    to_the_end, end = end >= length, max(min(end, length), start)
    number = max(math.ceil((end - start) / LONGEST), 1)
    bounds = [round((start + (end - start) * i / number) * fps) for i in range(number + 1)]
    found = []
    for i, (first, last) in enumerate(itertools.pairwise(bounds)):
        name = clip.name if number == 1 else f"{clip.name}_{i:04d}"
        duration = 0.0 if to_the_end and i == number - 1 else (last - first) / fps
        found.append(Piece(name, clip.file, zero + first / fps, duration, first, clip.face))
    return found


def _first_picture(file: Path) -> float:
    """When it is shown, in seconds: parts of a longer video may have kept its time."""
    with opened(InputImpl.VideoFromFile(str(file))) as container:
        stream = container.streams.video[0]
        return float((stream.start_time or 0) * stream.time_base)


def seconds_astray(video: Input.Video, fps: Fraction) -> float:
    """How far a picture is, at most, from where it would be at an even rate. Nothing is decoded."""
    start, duration = video.get_active_trim_window()
    with opened(video) as container:
        stream = container.streams.video[0]
        first, end = (int(seconds / stream.time_base) for seconds in (start, start + duration))
        if first and stream.start_time is not None:
            container.seek(first, stream=stream)
        times = []
        for packet in container.demux(stream):
            if duration and packet.dts is not None and packet.dts >= end:
                break
            if packet.pts is not None and first <= packet.pts and (not duration or packet.pts < end):
                times.append(packet.pts)
    zero, unit = min(times, default=0), stream.time_base
    return max(
        (abs(float((time - zero) * unit - n / fps)) for n, time in enumerate(sorted(times))), default=0.0
    )
