"""Sampling through ComfyUI: V-Express's timesteps, its exact DDIM step and its noise."""

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..schedule import TRAIN_STEPS, reference_noise, trailing_timesteps
from .context import require_vexpress

TERMINAL_SIGMA = (
    1000.0  # ComfyUI's stand-in for the infinite sigma of zero SNR is 4518, the next level below 25
)


def trailing_sigmas(model: ModelPatcher, steps: int) -> Tensor:
    """Noise levels of `steps` denoising steps and the final 0: (steps + 1,)"""
    require_vexpress(model)
    if not 1 <= steps <= TRAIN_STEPS:
        raise ValueError(f"{steps} steps: choose 1 to {TRAIN_STEPS}.")
    sigmas = model.get_model_object("model_sampling").sigmas
    return torch.cat([sigmas[trailing_timesteps(steps)].cpu(), torch.zeros(1)])


@torch.no_grad()
def sample_ddim(model, x: Tensor, sigmas: Tensor, extra_args=None, callback=None, disable=None) -> Tensor:
    """DDIM without noise, exact at the terminal level too, where the picture is x0 = -v (SPEC 6).

    x: (F, 4, h, w) latents plus sigma times noise
    """
    extra_args = extra_args or {}
    for i in comfy.utils.model_trange(len(sigmas) - 1, disable=disable):
        sigma, following = sigmas[i], sigmas[i + 1]
        denoised = model(x, sigma * x.new_ones(len(x)), **extra_args)
        if sigma > TERMINAL_SIGMA:
            denoised, noise = _terminal(x, sigma, denoised)
        else:
            noise = (x - denoised) / sigma
        if callback is not None:
            callback({"x": x, "i": i, "sigma": sigma, "sigma_hat": sigma, "denoised": denoised})
        x = denoised + following * noise
    return x


def _terminal(x: Tensor, sigma: Tensor, denoised: Tensor) -> tuple[Tensor, Tensor]:
    """Picture and noise at infinite sigma, from what the model says at ComfyUI's largest finite one."""
    noise = x / (1 + sigma**2).sqrt()
    alpha = 1 / (1 + sigma**2).sqrt()
    velocity = (alpha * noise - denoised) / (1 - alpha**2).sqrt()
    return -velocity, noise


def exact_ddim() -> comfy.samplers.KSAMPLER:
    """The SAMPLER that reproduces the reference implementation."""
    return comfy.samplers.KSAMPLER(sample_ddim)


NOISE_DTYPES = {"float32": torch.float32, "float16": torch.float16}


class ReferenceNoise:
    """A NOISE drawn in the reference implementation's layout, to reproduce its videos by their seed."""

    def __init__(self, seed: int, draws_before: int = 0, dtype: torch.dtype = torch.float32):
        self.seed, self.draws_before, self.dtype = seed, draws_before, dtype

    def generate_noise(self, latent: dict) -> Tensor:
        frames, channels, height, width = latent["samples"].shape
        return reference_noise(self.seed, frames, channels, height, width, self.draws_before, self.dtype)


def sample(
    model, positive, negative, latent: dict, seed: int, steps: int, cfg: float, sampler=None, sigmas=None
) -> dict:
    """Denoise a clip of any length; the result is a LATENT like `latent`."""
    sigmas = trailing_sigmas(model, steps) if sigmas is None else sigmas
    require_vexpress(model)
    noise = comfy.sample.prepare_noise(latent["samples"], seed, latent.get("batch_index"))
    samples = comfy.sample.sample_custom(
        model, noise, cfg, sampler or exact_ddim(), sigmas, positive, negative, latent["samples"],
        noise_mask=latent.get("noise_mask"), seed=seed,
        callback=latent_preview.prepare_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
    )  # fmt: skip
    return {**latent, "samples": samples}
