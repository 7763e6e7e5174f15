"""From noise to a finished video file, in memory that does not grow with the clip, and not lost when it breaks off."""

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..estimate import in_bytes, in_words
from ..video import frame_rate
from .assemble import deflickered
from .budget import check_disk, check_memory, disk_needed, memory_needed
from .clip import Clip
from .fingerprint import fingerprint, vae_identity
from .folders import temp_file, unfinished_renders
from .tell import tell
from .unfinished import UnfinishedRender, others
from .video_sound import audio_sound
from .video_writer import Sound, join_videos, write_video

DECODE_AT_ONCE = (
    4  # frames: at 512 x 512 the VAE needs about 2 GB in fp32 for each; ComfyUI takes fewer if need be
)
SAVE_SECONDS = 20  # so much work is lost at most


def render(
    model: ModelPatcher,
    positive: list,
    negative: list,
    latent: dict,
    vae,
    audio: dict | None,
    fps: float,
    seed: int,
    steps: int,
    cfg: float,
    calm: bool,
) -> Path:
    """
    Sample, decode and encode a clip piece by piece, from where an earlier try of the same job ended.
    Returns an mp4 in ComfyUI's temp folder.

    calm: deflicker the pictures
    """
    rate = frame_rate(fps)
    sound = audio_sound(audio, float(len(latent["samples"]) / rate))
    clip = Clip(model, positive, negative, latent["samples"], seed, steps, cfg)
    job = fingerprint(clip.identity, vae_identity(vae), rate, calm)
    rendering = Rendering(clip, vae, rate, calm, unfinished_renders() / job)
    rendering.announce()
    try:
        return rendering.run(sound)
    except BaseException:  # ComfyUI's interruption is none of Exception's
        rendering.keep(audio)
        raise


class Rendering:
    """A clip, the parts of its video that are written, and what is kept on disk of both."""

    def __init__(self, clip: Clip, vae, rate: Fraction, calm: bool, folder: Path):
        self.clip, self.vae, self.rate, self.calm = clip, vae, rate, calm
        self.unfinished = UnfinishedRender(folder)
        self.partial_video = folder.parents[1] / f"unfinished_{folder.name}.mp4"
        self.frames_of_parts: list[int] = []
        self.last_pictures: list[Tensor] = []  # two at most: the neighbours in time of those that come next
        if state := self.unfinished.start():
            self.frames_of_parts = state["parts"].tolist()
            self.last_pictures = list(state.get("last_pictures", ()))
            clip.restore(state)
        clip.sampler.after_window = self._after_window
        self.resumed_at = clip.band.evaluations
        self.started = self.saved = time.monotonic()

    def announce(self) -> None:
        """What is to be done, before it is begun; raises what cannot fit."""
        band, window = self.clip.band, self.clip.window
        height, width = (8 * side for side in window.shape[2:])
        memory, disk = memory_needed(self.clip), disk_needed(self.clip)
        self._say(
            f"{band.num_frames} frames of {width}x{height} pixels in {len(band.windows)} windows and {band.steps} steps: "
            f"about {in_bytes(memory)} of memory beside the models, {in_bytes(disk)} of disk."
            + (
                f" An earlier try did {self._progress()} of it; this one goes on from there."
                if self.resumed_at
                else ""
            )
        )
        if left := others(self.unfinished.folder.parent, self.unfinished.folder):
            logging.warning(left)
        check_memory(self.clip, memory)
        check_disk(disk, self.unfinished.folder, temp_file(".mp4").parent)

    def run(self, sound: Sound | None) -> Path:
        while not self.clip.done:
            pictures = decoded(self.vae, self.clip.next_latents())
            self._write_part(pictures)
            self.clip.release()
            self._save()
        path = temp_file(".mp4")
        join_videos(self._parts(), path, self.rate, sound)
        self.unfinished.remove()
        self.partial_video.unlink(missing_ok=True)
        return path

    def keep(self, audio: dict | None) -> None:
        """The render broke off: keep what is done, as a state to go on from and as a video to look at."""
        frames = sum(self.frames_of_parts)
        kept = "Nothing is finished yet"
        try:
            self._save()
            if frames:
                sound = audio_sound(audio, float(frames / self.rate))
                join_videos(self._parts(), self.partial_video, self.rate, sound)
                kept = f"The first {frames} of {self.clip.band.num_frames} frames are in {self.partial_video}"
        except Exception as error:  # the render's own is worth more to the user
            logging.error("V-Express Render could not keep all it had done: %s", error)
        self._say(f"{kept}. Queue the same job again, and it goes on after {self._progress()}.")

    def _write_part(self, pictures: Iterable[Tensor]) -> None:
        """Where pictures are calmed, those that still lack a neighbour wait for the next part."""
        recent = deque(self.last_pictures, maxlen=2)
        if self.calm:
            pictures = self._calmed(remembered(pictures, recent))
        written = 0
        with write_video(self.unfinished.part(len(self.frames_of_parts)), self.rate) as video:
            for picture in pictures:
                video.write(picture)
                written += 1
        self.frames_of_parts.append(written)
        self.last_pictures = list(recent)

    def _calmed(self, pictures: Iterator[Tensor]) -> Iterator[Tensor]:
        before = len(self.last_pictures)
        calm = deflickered(chain(self.last_pictures, pictures))
        if before == 2:  # the first is only there as a neighbour
            next(calm)
        if self.clip.band.finished == self.clip.band.num_frames:
            return calm
        return islice(calm, before + len(self.clip.band.finished_frames()) - 1 - (before == 2))

    def _after_window(self) -> None:
        band = self.clip.band
        took = (time.monotonic() - self.started) / (band.evaluations - self.resumed_at)
        left = in_words(took * (band.evaluations_in_all - band.evaluations))
        tell(f"{self._progress()} done, about {left} left.")
        if time.monotonic() - self.saved > SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        state = self.clip.state() | {"parts": torch.tensor(self.frames_of_parts, dtype=torch.int64)}
        if self.last_pictures:
            state["last_pictures"] = torch.stack(self.last_pictures).cpu().contiguous()
        self.unfinished.save(state)
        self.saved = time.monotonic()

    def _parts(self) -> list[Path]:
        return [self.unfinished.part(number) for number in range(len(self.frames_of_parts))]

    def _progress(self) -> str:
        band = self.clip.band
        return f"{band.evaluations / band.evaluations_in_all:.0%}"

    def _say(self, text: str) -> None:
        logging.info("V-Express Render: %s", text)
        tell(text)


def remembered(pictures: Iterable[Tensor], recent: deque[Tensor]) -> Iterator[Tensor]:
    for picture in pictures:
        recent.append(picture)
        yield picture


def decoded(vae, latents: Tensor) -> Iterator[Tensor]:
    """Pictures one by one: (H, W, 3) in 0..1. latents: (f, 4, h, w)"""
    for batch in latents.split(DECODE_AT_ONCE):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield from vae.decode(batch)
