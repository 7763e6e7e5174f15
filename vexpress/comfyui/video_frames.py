"""The pictures of a VIDEO, one at a time, so that memory does not grow with its length."""

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import av
import comfy.model_management
import comfy.utils
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from comfy_api.latest import Input
from numpy import ndarray

from ..pictures import as_bytes, rgb
from .tell import Countdown

Frame = TypeVar("Frame")

# SWS_BICUBIC | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND: PyAV names the second only from 18.0 on, ComfyUI takes 16.0
EXACT = 0x4 | 0x2000 | 0x40000

MOST_PIXELS = 1 << 27  # of one picture: 16384 x 8192
FASTEST = 1000  # frames per second
FORMATS = (  # that hold their pictures themselves: playlists and the like name other files, and addresses
    "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,ogg,asf,mxf,nut,rm,dv,ivf,obu,av1,h264,hevc,m4v,vc1,"
    "yuv4mpegpipe,gif,apng,png_pipe,jpeg_pipe,webp_pipe,wav,mp3,flac,aac,caf,w64,aiff"
)


@dataclass(frozen=True)
class VideoFrames:
    """
    Iterating yields (H, W, 3) RGB uint8, upright, within the video's trim. Every picture of the file comes
    once, in order: a variable frame rate is taken as constant, at its average.

    count: what the file's header promises; only iterating tells for sure
    """

    video: Input.Video
    fps: Fraction
    width: int
    height: int
    count: int

    def __iter__(self) -> Iterator[ndarray]:
        for number, picture in enumerate(_pictures(self.video)):
            height, width = picture.shape[:2]
            if (width, height) != (self.width, self.height):
                raise ValueError(
                    f"Frame {number} of the video has {width}x{height} pixels, "
                    f"the first one {self.width}x{self.height}."
                )
            yield picture


def video_frames(video: Input.Video) -> VideoFrames:
    first = next(_pictures(video), None)
    if first is None:
        start, duration = video.get_active_trim_window()
        raise ValueError(
            f"The video has no picture from {start:g} s "
            + (f"to {start + duration:g} s." if duration else "to its end.")
        )
    fps = Fraction(video.get_frame_rate())
    if not 0 < fps <= FASTEST:
        raise ValueError(f"The video claims {float(fps):g} frames per second; {FASTEST} are the most.")
    height, width = first.shape[:2]
    return VideoFrames(video, fps, width, height, max(round(_seconds(video, fps) * fps), 1))


def at_rate(frames: VideoFrames, fps: Fraction) -> Iterator[ndarray]:
    """What they show at every 1/fps of a second."""
    shown = 0
    for number, picture in enumerate(frames):
        while int(shown * frames.fps / fps) == number:
            yield picture
            shown += 1


@contextlib.contextmanager
def opened(video: Input.Video) -> Iterator[av.container.InputContainer]:
    """A VIDEO that has a file; no other file is opened, nothing fetched, and no picture decoded that is too large."""
    source = video.get_stream_source()
    if isinstance(
        source, io.BytesIO
    ):  # a position of its own, for sound and pictures are read at the same time
        source = io.BytesIO(source.getvalue())
    closed = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        with av.open(source, container_options=closed) as container:
            for stream in container.streams.video:
                if stream.codec_context is None:
                    raise ValueError("The video cannot be read: nothing here decodes its pictures.")
                stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            yield container
    except av.FFmpegError as error:
        raise ValueError(f"The video cannot be read, its file is damaged or no video: {error}") from error


def with_progress(frames: Iterable[Frame], count: int) -> Iterator[Frame]:
    """Shows the progress on the node that works on them; Cancel stops between two frames."""
    progress, countdown = comfy.utils.ProgressBar(count), Countdown(count)
    for done, frame in enumerate(frames, start=1):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield frame
        progress.update(1)
        countdown.tell(done, f"{done} of {count} frames")


def _seconds(video: Input.Video, fps: Fraction) -> float:
    """What the pictures last by the header; the sound may go on for longer."""
    if has_no_file(video):
        return video.get_duration()
    with opened(video) as container:
        stream = container.streams.video[0]
        if stream.frames:
            whole = stream.frames / fps
        elif stream.duration:
            whole = stream.duration * stream.time_base
        elif container.duration:
            whole = container.duration / av.time_base
        else:  # a stream without a container
            whole = sum(1 for packet in container.demux(stream) if packet.size) / fps
    start, duration = video.get_active_trim_window()
    return min(duration or whole, whole - start, _file_size(video) / fps)  # no picture is smaller than a byte


def _file_size(video: Input.Video) -> int:
    source = video.get_stream_source()
    return source.getbuffer().nbytes if isinstance(source, io.BytesIO) else os.path.getsize(source)


def _pictures(video: Input.Video) -> Iterator[ndarray]:
    return _pictures_of_images(video) if has_no_file(video) else _pictures_of_file(video)


def has_no_file(video: Input.Video) -> bool:
    return type(video).get_stream_source is Input.Video.get_stream_source  # this would write one


def _pictures_of_images(video: Input.Video) -> Iterator[ndarray]:
    for image in rgb(video.get_components().images, "images"):
        yield as_bytes(image)


def _pictures_of_file(video: Input.Video) -> Iterator[ndarray]:
    start, duration = video.get_active_trim_window()
    with opened(video) as container:
        stream = next(iter(container.streams.video), None)
        if stream is None:  # only sound
            return
        stream.thread_type = "AUTO"
        first, end = (int(seconds / stream.time_base) for seconds in (start, start + duration))
        if first and stream.start_time is not None:  # a stream without a container cannot seek
            container.seek(first, stream=stream)
        for frame in container.decode(stream):
            if frame.pts is None:  # nor be trimmed
                yield _upright(frame)
            elif duration and frame.pts >= end:
                return
            elif frame.pts >= first:
                yield _upright(frame)


def _upright(frame: av.VideoFrame) -> ndarray:
    if frame.width * frame.height > MOST_PIXELS:
        raise ValueError(
            f"The video has a picture of {frame.width}x{frame.height} pixels, which is too large."
        )
    picture = frame.to_ndarray(
        format="rgb24",
        interpolation=EXACT,
        src_color_range=frame.color_range,  # PyAV 16 overlooks the frame's matrix and range unless told these three
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
    )
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
