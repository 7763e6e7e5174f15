"""From noise to a finished video file, in memory that does not grow with the clip, and not lost when it breaks off."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..estimate import in_bytes
from ..finite import require_finite
from ..video import frame_rate
from .assemble import deflickered
from .budget import check_disk, check_memory, disk_needed, memory_needed
from .clip import Clip
from .fingerprint import fingerprint, vae_identity
from .folders import temp_file, unfinished_renders
from .model import CONDITION
from .oom import memory_said
from .sampling import done_of, percent_of
from .tell import Countdown, tell, warn
from .unfinished import UnfinishedRender, kept_in, others
from .video_sound import audio_sound
from .video_writer import CRF, Sound, join_videos, write_video

SAVE_SECONDS = 20  # so much denoising is lost at most


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
    crf: int = CRF,
) -> Path:
    """
    Sample, decode and encode a clip piece by piece, from where an earlier try of the same job ended.
    Returns an mp4 in ComfyUI's temp folder.

    calm: deflicker the pictures
    crf:  x264's quality
    """
    rate = frame_rate(fps)
    warn_of_another_rate(rate, positive)
    sound = audio_sound(audio, float(len(latent["samples"]) / rate))
    clip = Clip(model, positive, negative, latent["samples"], seed, steps, cfg)
    job = fingerprint(clip.identity, vae_identity(vae), rate, calm, crf)
    with kept_in(unfinished_renders() / job) as unfinished:
        rendering = Rendering(clip, vae, rate, calm, crf, unfinished)
        rendering.start()
        try:
            return rendering.run(sound)
        except BaseException:  # ComfyUI's interruption is none of Exception's
            rendering.keep(audio)
            raise


def warn_of_another_rate(rate: Fraction, positive: list) -> None:
    """Where lips and voice would be more than a frame apart at the end."""
    for _, extras in positive:
        condition = extras.get(CONDITION)
        if condition and abs(condition.frames * (condition.fps / rate - 1)) > 1:
            warn(
                f"fps is {float(rate):.5g}, but the voice was encoded for {condition.fps:.5g} frames per second: lips and "
                "voice drift apart. Connect fps of V-Express Encode Audio."
            )


class Rendering:
    """A clip, the parts of its video that are written, and what is kept on disk of both."""

    def __init__(self, clip: Clip, vae, rate: Fraction, calm: bool, crf: int, unfinished: UnfinishedRender):
        self.clip, self.vae, self.rate, self.calm, self.crf = clip, vae, rate, calm, crf
        self.unfinished, folder = unfinished, unfinished.folder
        self.partial_video = folder.parents[1] / f"unfinished_{folder.name[:8]}.mp4"
        self.frames_of_parts: list[int] = []
        self.recent: list[Tensor] = []  # the last two pictures, for deflickering those that follow
        if state := self.unfinished.load():
            self._restore(state)
        clip.sampler.after_window = self._after_window

    def _restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what an earlier try has left, unless somebody has changed it."""
        try:
            self.clip.restore(state)
            parts, recent = state["parts"].tolist(), list(state.get("recent", ()))
            height, width = (8 * side for side in self.clip.window.shape[2:])
            waiting = self.clip.band.released - sum(parts)  # deflickering, the last one waits for the next
            if min(parts, default=1) < 1 or not 0 <= waiting <= self.calm:
                raise ValueError(f"its parts have {sum(parts)} pictures")
            if any(tuple(picture.shape) != (height, width, 3) for picture in recent[:3]) or len(recent) > 2:
                raise ValueError("its last pictures have another size")
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.unfinished.folder} does not hold this render ({error}): delete it, and the render starts anew."
            ) from error
        self.frames_of_parts, self.recent = parts, recent

    def start(self) -> None:
        """Say what is to be done, and refuse what cannot fit, before anything is computed."""
        band, window = self.clip.band, self.clip.window
        height, width = (8 * side for side in window.shape[2:])
        memory, (parts, whole) = memory_needed(self.clip), disk_needed(self.clip, self.crf)
        self._say(
            f"{band.num_frames} frames of {width}x{height} pixels in {len(band.windows)} windows and {band.steps} steps: "
            f"at least {in_bytes(memory)} of memory beside the models, about {in_bytes(parts + whole)} of disk."
        )
        check_memory(self.clip, memory)
        check_disk(parts + whole, unfinished_renders())  # where Save Video copies it to
        check_disk(whole, temp_file(".mp4"))
        if self.clip.done:
            self._say("The same pictures were rendered before: they are taken, with the sound of now.")
        elif band.evaluations:
            self._say(f"An earlier try did {self._progress()}; this one goes on from there.")
        if left := others(self.unfinished.folder):
            warn(left)
        self.countdown = Countdown(band.evaluations_in_all, band.evaluations)
        self._save()  # which shows that the folder can be written

    def run(self, sound: Sound | None) -> Path:
        while not self.clip.done:
            self._write_part(self.clip.next_latents())
            self.clip.release()
            self._save()
        path = temp_file(".mp4")
        join_videos(self._parts(), path, self.rate, sound)
        self.unfinished.keep_finished()
        with contextlib.suppress(OSError):  # on Windows, while somebody watches it
            self.partial_video.unlink(missing_ok=True)
        return path

    def keep(self, audio: dict | None) -> None:
        """The render broke off: keep what is done, as a state to go on from and as a video to look at."""
        if not self.clip.band.evaluations:
            return self.unfinished.remove()
        frames, kept = sum(self.frames_of_parts), ""
        try:
            self._save()
            if frames:
                sound = audio_sound(audio, float(frames / self.rate))
                join_videos(self._parts(), self.partial_video, self.rate, sound)
                kept = f" The first {frames} frames are in {'/'.join(self.partial_video.parts[-3:])}."
        except Exception as error:  # why the render broke off is worth more to the user
            logging.error("V-Express Render could not keep all it had done: %s", error)
        again = f"it goes on from {self.safe}"
        if self.unfinished.lost_part(len(self.frames_of_parts)):
            self.unfinished.remove()
            again = "it starts anew"
        self._say(f"Stopped. Run the same job again, and {again}.{kept}")

    def _write_part(self, latents: Tensor) -> None:
        """latents: (f, 4, h, w)"""
        recent = deque(self.recent, maxlen=2)
        pictures = remembered(decoded(self.vae, latents, self.clip.band.released), recent)
        if self.calm:
            more = self.clip.band.finished < self.clip.band.num_frames
            pictures = deflickered(pictures, self.recent, more)
        written = 0
        with write_video(self.unfinished.part(len(self.frames_of_parts)), self.rate, crf=self.crf) as video:
            for picture in pictures:
                video.write(picture)
                written += 1
        self.frames_of_parts.append(written)
        self.recent = list(recent)

    def _after_window(self) -> None:
        band = self.clip.band
        tell(self.countdown.words(band.evaluations, done_of(band)))
        if time.monotonic() - self.saved > SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        state = self.clip.state() | {"parts": torch.tensor(self.frames_of_parts, dtype=torch.int64)}
        if self.calm and self.recent:
            state["recent"] = torch.stack(self.recent).cpu().contiguous()
        self.unfinished.save(state)
        self.saved, self.safe = time.monotonic(), self._progress()

    def _parts(self) -> list[Path]:
        return [self.unfinished.part(number) for number in range(len(self.frames_of_parts))]

    def _progress(self) -> str:
        return percent_of(self.clip.band)

    def _say(self, text: str) -> None:
        logging.info("V-Express Render: %s", text)
        tell(text)


def remembered(pictures: Iterable[Tensor], recent: deque[Tensor]) -> Iterator[Tensor]:
    for picture in pictures:
        recent.append(picture)
        yield picture


def decoded(vae, latents: Tensor, first: int = 0) -> Iterator[Tensor]:
    """
    Pictures (H, W, 3) in 0..1, decoded one by one: the least memory, and always the same numbers, where ComfyUI would
    split a batch by what memory happens to be free.

    latents: (f, 4, h, w) of the clip's frames from `first` on
    """
    height, width = (8 * side for side in latents.shape[2:])
    for frame, latent in enumerate(latents.split(1), first):
        comfy.model_management.throw_exception_if_processing_interrupted()
        with memory_said(f"while decoding a picture of {width}x{height} pixels", "make the picture smaller"):
            picture = vae.decode(latent)[0]
        require_finite(
            picture,
            f"The VAE gives frame {frame} as NaN, which would be black: load sd-vae-ft-mse, "
            "or start ComfyUI with --fp32-vae. With another VAE the render begins anew.",
        )
        yield picture
