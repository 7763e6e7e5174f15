"""V-Express's sampler: DDIM without noise, exact from pure noise on (SPEC 6)."""

import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

TERMINAL_SIGMA = 1000.0  # zero SNR is infinite; ComfyUI has 4518 there, and 25 one level below


@torch.no_grad()
def sample_ddim(model, x: Tensor, sigmas: Tensor, extra_args=None, callback=None, disable=None) -> Tensor:
    """DDIM step by step; at the terminal level the picture is x0 = -v.

    x: (F, 4, h, w) latents plus sigma times noise
    """
    extra_args = extra_args or {}
    for i in comfy.utils.model_trange(len(sigmas) - 1, disable=disable):
        sigma, following = sigmas[i], sigmas[i + 1]
        denoised = model(x, sigma * x.new_ones(len(x)), **extra_args)
        if callback is not None:
            callback({"x": x, "i": i, "sigma": sigma, "sigma_hat": sigma, "denoised": denoised})
        x = ddim_step(x, denoised, sigma, following)
    return x


def ddim_step(x: Tensor, denoised: Tensor, sigma: Tensor, following: Tensor) -> Tensor:
    """The frames at the next noise level. x, denoised: (F, 4, h, w)"""
    if sigma > TERMINAL_SIGMA:
        denoised, noise = _terminal(x, sigma, denoised)
    else:
        noise = (x - denoised) / sigma
    return denoised + following * noise


def _terminal(x: Tensor, sigma: Tensor, denoised: Tensor) -> tuple[Tensor, Tensor]:
    """Picture and noise at infinite sigma, from what the model says at ComfyUI's largest finite one."""
    noise = x / (1 + sigma**2).sqrt()
    alpha = 1 / (1 + sigma**2).sqrt()
    velocity = (alpha * noise - denoised) / (1 - alpha**2).sqrt()
    return -velocity, noise


def exact_ddim() -> comfy.samplers.KSAMPLER:
    """The SAMPLER that reproduces the reference implementation."""
    return comfy.samplers.KSAMPLER(sample_ddim)
