"""From noise to a finished video file, in memory that does not grow with the clip."""

from collections.abc import Iterator
from pathlib import Path

import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..schedule import NoiseStream
from ..video import frame_rate
from ..wavefront import spans
from .assemble import deflickered
from .context import context_of, require_vexpress
from .folders import temp_file
from .memoryless import refuse_memory
from .model import CONDITION, check_latents
from .sampling import trailing_sigmas
from .video_sound import audio_sound
from .video_writer import VideoWriter
from .wavefront import Wavefront

DECODE_AT_ONCE = 4  # frames: at 512 x 512 the VAE needs about 2 GB in fp32 for each
SEGMENT = 10  # windows whose frames are finished before the VAE takes the UNet's place in memory


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
    """Sample, decode and encode a clip piece by piece. Returns an mp4 in ComfyUI's temp folder.

    calm: deflicker the pictures
    """
    frames, _, height, width = latent["samples"].shape
    rate = frame_rate(fps)
    sound = audio_sound(audio, float(frames / rate))
    path = temp_file(".mp4")
    latents = finished_latents(model, positive, negative, latent["samples"], seed, steps, cfg)
    pictures = decoded(vae, latents)
    with VideoWriter(path, rate, sound) as video:
        for picture in deflickered(pictures) if calm else pictures:
            video.write(picture)
    return path


def finished_latents(
    model: ModelPatcher, positive: list, negative: list, empty: Tensor, seed: int, steps: int, cfg: float
) -> Iterator[Tensor]:
    """The clip's latents in order, some windows at a time: (f, 4, h, w) each. empty: (F, 4, h, w), for its shape"""
    require_vexpress(model)
    refuse_memory(model, positive, negative)
    sigmas = trailing_sigmas(model, steps)
    length, overlap = context_of(model)
    windows = spans(len(empty), length, overlap)
    noise = NoiseStream(seed, len(empty), tuple(empty.shape[1:]))
    sampler = Wavefront(windows, emit=SEGMENT * (length - overlap), noise=noise)
    window = torch.zeros(min(length, len(empty)), *empty.shape[1:])  # all that ComfyUI needs room for
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(
        *(for_windows(conditioning, empty, len(window)) for conditioning in (positive, negative))
    )
    guider.set_cfg(cfg)
    callback = latent_preview.prepare_callback(model, len(windows) * steps)
    quiet = not comfy.utils.PROGRESS_BAR_ENABLED
    while not sampler.done:
        yield guider.sample(window, window, sampler, sigmas, callback=callback, disable_pbar=quiet, seed=seed)


def for_windows(conditioning: list, empty: Tensor, frames: int) -> list:
    """The same CONDITIONING, made for latents of one window's `frames`, once it is known to fit the clip's."""
    fitted = []
    for tokens, extras in conditioning:
        if CONDITION in extras:
            check_latents(empty, extras[CONDITION])
            extras = {**extras, CONDITION: extras[CONDITION]._replace(frames=frames)}
        fitted.append([tokens, extras])
    return fitted


def decoded(vae, latents: Iterator[Tensor]) -> Iterator[Tensor]:
    """Pictures one by one: (H, W, 3) in 0..1. latents: (f, 4, h, w) each"""
    for segment in latents:
        for batch in segment.split(DECODE_AT_ONCE):
            yield from vae.decode(batch)
