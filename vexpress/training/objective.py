"""What one step of training minimises (SPEC 9)."""

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from ..schedule import TRAIN_STEPS

SCHEDULE = DDIMScheduler(
    num_train_timesteps=TRAIN_STEPS,
    beta_schedule="scaled_linear",
    beta_start=0.00085,
    beta_end=0.012,
    prediction_type="v_prediction",
    rescale_betas_zero_snr=True,
)
NOISE_OFFSET = 0.05
LARGEST_SNR = 5.0  # what is less noisy counts no more
LATENT_CELL = 8  # pixels


def draw_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Noise of clips, each channel of a clip shifted a little as a whole. shape: (B, F, C, h, w)"""
    clips, _, channels, _, _ = shape
    offset = torch.randn(clips, 1, channels, 1, 1, generator=generator)
    return torch.randn(shape, generator=generator) + NOISE_OFFSET * offset


def draw_timesteps(clips: int, generator: torch.Generator) -> Tensor:
    return torch.randint(TRAIN_STEPS, (clips,), generator=generator)


def noised(latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """latents, noise: (B, …); timesteps: (B,)"""
    return SCHEDULE.add_noise(latents, noise, timesteps)


def velocity(latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """v, what the UNet is to predict. latents, noise: (B, …); timesteps: (B,)"""
    return SCHEDULE.get_velocity(latents, noise, timesteps)


def min_snr_weight(timesteps: Tensor) -> Tensor:
    """min(snr + 1, 5) / (snr + 1), which is 1 where there is only noise. timesteps: (B,)"""
    alphas = SCHEDULE.alphas_cumprod.to(timesteps.device)[timesteps]
    snr_plus_one = 1 / (1 - alphas)  # snr = a / (1 - a)
    return snr_plus_one.clamp(max=LARGEST_SNR) / snr_plus_one


def box_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """
    boxes:         (…, 4) left, top, right, bottom in pixels; an empty one where there is nothing
    height, width: of the latents
    returns:       (…, 1, h, w) 1 where a latent touches the box
    """
    left, top, right, bottom = boxes[..., None].unbind(-2)  # (…, 1) each

    def between(first: Tensor, last: Tensor, size: int) -> Tensor:
        start = torch.arange(size, device=boxes.device) * LATENT_CELL
        return (start + LATENT_CELL > first) & (start < last) & (first < last)

    rows, columns = between(top, bottom, height), between(left, right, width)
    return (rows[..., None, :, None] & columns[..., None, None, :]).float()


def weighted(mask: Tensor, weight: float) -> Tensor:
    """The weight where the mask is 1, and 1 where it is 0."""
    return 1 + (weight - 1) * mask


def loss_per_clip(prediction: Tensor, target: Tensor, timesteps: Tensor, weights: Tensor) -> Tensor:
    """
    prediction, target: (B, F, C, h, w)
    timesteps:          (B,)
    weights:            (B, F, 1, h, w) of the latents
    returns:            (B,)
    """
    squares = (prediction.float() - target.float()).square() * weights
    return squares.flatten(1).mean(1) * min_snr_weight(timesteps)
