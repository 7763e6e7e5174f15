"""Sampling through ComfyUI: V-Express's noise levels, its noise and its order of windows."""

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..schedule import reference_noise, trailing_timesteps
from ..wavefront import Band, spans
from .context import context_of, require_vexpress
from .ddim import exact_ddim
from .memoryless import refuse_memory
from .tell import Countdown
from .wavefront import Wavefront

NOISE_DTYPES = {"float32": torch.float32, "float16": torch.float16}


def trailing_sigmas(model: ModelPatcher, steps: int) -> Tensor:
    """Noise levels of `steps` denoising steps and the final 0: (steps + 1,)"""
    require_vexpress(model)
    sigmas = model.get_model_object("model_sampling").sigmas
    return torch.cat([sigmas[trailing_timesteps(steps)].cpu(), torch.zeros(1)])


class ReferenceNoise:
    """A NOISE drawn in the reference implementation's layout, to reproduce its videos by their seed."""

    def __init__(self, seed: int, draws_before: int = 0, dtype: torch.dtype = torch.float32):
        self.seed, self.draws_before, self.dtype = seed, draws_before, dtype

    def generate_noise(self, latent: dict) -> Tensor:
        frames, channels, height, width = latent["samples"].shape
        return reference_noise(self.seed, frames, channels, height, width, self.draws_before, self.dtype)


def sample(
    model: ModelPatcher,
    positive: list,
    negative: list,
    latent: dict,
    seed: int,
    steps: int,
    cfg: float,
    sampler: comfy.samplers.Sampler | None = None,
    sigmas: Tensor | None = None,
) -> dict:
    """Denoise a clip of any length along the wavefront, or as `sampler` and `sigmas` say. Returns a LATENT like `latent`."""
    require_vexpress(model)
    if sampler is None and sigmas is None and "noise_mask" not in latent:
        refuse_memory(model, positive, negative)
        sampler = told_wavefront(Band(spans(len(latent["samples"]), *context_of(model)), steps))
    sigmas = trailing_sigmas(model, steps) if sigmas is None else sigmas
    noise = comfy.sample.prepare_noise(latent["samples"], seed, latent.get("batch_index"))
    samples = comfy.sample.sample_custom(
        model,
        noise,
        cfg,
        sampler or exact_ddim(),
        sigmas,
        positive,
        negative,
        latent["samples"],
        noise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    return {**latent, "samples": samples}


def told_wavefront(band: Band) -> Wavefront:
    """One that says on the node how far it has come."""
    countdown = Countdown(band.evaluations_in_all)
    return Wavefront(band, after_window=lambda: countdown.tell(band.evaluations, done_of(band)))


def done_of(band: Band) -> str:
    return f"{percent_of(band)} done, {band.finished} of {band.num_frames} frames finished"


def percent_of(band: Band) -> str:
    return f"{band.evaluations / band.evaluations_in_all:.0%}"
