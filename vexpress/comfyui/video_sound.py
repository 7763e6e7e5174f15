"""The voice of a VIDEO, block by block, so that memory does not grow with its length."""

from collections.abc import Iterator
from itertools import chain

import av
import numpy as np
from av.audio.resampler import AudioResampler
from comfy_api.latest import Input
from numpy import ndarray

from ..audio import check_voice
from ..video import AAC_RATES, sound_track
from .video_frames import has_no_file, opened
from .video_writer import LAYOUTS, Sound

SILENT_AT_ONCE = 1 << 16  # samples


def video_sound(video: Input.Video) -> Sound | None:
    """From the video's first picture on; None if it is silent."""
    if has_no_file(video):
        components = video.get_components()
        return _sound(components.audio, float(len(components.images) / components.frame_rate))
    with opened(video) as container:
        stream = _audio_stream(container)
        if stream is None:
            return None
        rate = stream.sample_rate if stream.sample_rate in AAC_RATES else 48000
        channels = stream.channels if stream.channels in LAYOUTS else 2
    return Sound(_blocks(video, rate, channels), rate, channels)


def audio_sound(audio: dict | None, seconds: float) -> Sound | None:
    """AUDIO for a clip of that length."""
    if audio is not None:
        check_voice(audio["waveform"], audio["sample_rate"])
    return _sound(audio, seconds)


def mono(sound: Sound, sample_rate: int, seconds: float) -> ndarray:
    """(N,) int16 at that rate, as long or less; its channels mixed, as a file of 16 bits would have them."""
    resampler, parts, left = AudioResampler("s16", LAYOUTS[1], sample_rate), [], seconds * sound.sample_rate
    for block in sound.blocks:
        if left <= 0:
            break
        left -= block.shape[1]
        if block.size:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", LAYOUTS[sound.channels])
            frame.sample_rate = sound.sample_rate
            parts += resampler.resample(frame)
    parts += resampler.resample(None) if parts else []
    samples = np.concatenate([np.zeros(0, np.int16), *(part.to_ndarray()[0] for part in parts)])
    return samples[: round(seconds * sample_rate)]


def _sound(audio: dict | None, seconds: float) -> Sound | None:
    """Also of what is no voice: a video is taken as it is."""
    if audio is None:
        return None
    waveform, rate = sound_track(audio["waveform"][:1], audio["sample_rate"], seconds)
    return Sound([waveform[0].float().cpu().numpy()], rate, waveform.shape[1])


def _audio_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The one that ComfyUI plays: the last that there is a decoder for."""
    return next((s for s in reversed(container.streams.audio) if s.codec_context is not None), None)


def _blocks(video: Input.Video, rate: int, channels: int) -> Iterator[ndarray]:
    """(C, N) samples; skipped or preceded by silence so that they begin with the first picture."""
    start, _ = video.get_active_trim_window()
    resampler = AudioResampler("fltp", LAYOUTS[channels], rate)
    with opened(video) as container:
        stream, pictures = _audio_stream(container), next(iter(container.streams.video), None)
        if pictures is not None and pictures.start_time is not None:
            start = max(start, float(pictures.start_time * pictures.time_base))
        if start > 0:
            container.seek(int(start / stream.time_base), stream=stream)
        skip = None
        for frame in chain(container.decode(stream), [None]):
            for resampled in resampler.resample(frame):
                samples = resampled.to_ndarray()
                if skip is None:
                    late = round(((resampled.time or 0) - start) * rate)
                    skip = max(-late, 0)
                    yield from _silence(channels, max(late, 0))
                yield samples[:, skip:]
                skip -= min(skip, samples.shape[1])


def _silence(channels: int, samples: int) -> Iterator[ndarray]:
    """In pieces, for a file may claim that its sound begins in a thousand years."""
    for _ in range(samples // SILENT_AT_ONCE):
        yield np.zeros((channels, SILENT_AT_ONCE), np.float32)
    yield np.zeros((channels, samples % SILENT_AT_ONCE), np.float32)
