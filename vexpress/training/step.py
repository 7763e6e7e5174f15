"""One step's batch, and its loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..draw import draw_kps
from ..model.unet import AttentionWeights
from .boxes import eye_boxes
from .clips import Sample
from .dropout import DropRates, Kept, draw_kept
from .networks import Networks
from .objective import (
    LATENT_CELL,
    box_mask,
    draw_noise,
    draw_timesteps,
    loss_per_clip,
    noised,
    velocity,
    weighted,
)

BETWEEN_PROCESSES = 0x9E3779B9  # 2**32 in the golden ratio, so multiples lie apart in the 32 bits torch uses
AS_TRAINED = AttentionWeights(1.0, 1.0)


class Weights(NamedTuple):
    """How much more the loss counts around mouth and eyes."""

    lips: float
    eyes: float


class Chance(NamedTuple):
    """What is drawn for a step beside its clips."""

    noise: Tensor  # (B, F, 4, h, w)
    timesteps: Tensor  # (B,)
    kept: Kept


def chance_of_step(seed: int, stage: int, step: int, process: int) -> torch.Generator:
    """Where a process draws its clips and their `Chance` from; step and process are counted from 0."""
    run = 3 * seed + stage  # stages with the same seed meet other clips and other noise
    return torch.Generator().manual_seed(run * 1_000_000_007 + step + process * BETWEEN_PROCESSES)


def draw_chance(shape: tuple[int, ...], rates: DropRates, generator: torch.Generator) -> Chance:
    """shape: (B, F, 4, h, w)"""
    noise, timesteps = draw_noise(shape, generator), draw_timesteps(shape[0], generator)
    return Chance(noise, timesteps, draw_kept(shape[0], rates, generator))


def batched(samples: list[Sample], device: torch.device) -> Sample:
    """Clips one behind the other, a further axis in front."""
    return Sample(*(torch.stack(part).to(device) for part in zip(*samples, strict=True)))


def batch_loss(networks: Networks, batch: Sample, chance: Chance, weights: Weights) -> Tensor:
    """batch: as `batched` gives it; returns one number"""
    latents = batch.latents
    noise, timesteps = chance.noise.to(latents), chance.timesteps.to(latents.device)
    prediction = predict(networks, noised(latents, noise, timesteps), timesteps, batch, chance.kept)
    target = velocity(latents, noise, timesteps)
    lips, eyes = (box_mask(boxes, *latents.shape[-2:]) for boxes in (batch.lips, eye_boxes(batch.kps)))
    places = weighted(lips, weights.lips) * weighted(eyes, weights.eyes)
    return loss_per_clip(prediction, target, timesteps, places).mean()


def predict(networks: Networks, noisy: Tensor, timesteps: Tensor, batch: Sample, kept: Kept) -> Tensor:
    """
    noisy:     (B, F, 4, h, w)
    timesteps: (B,)
    returns:   (B, F, 4, h, w)
    """
    clips, frames, _, height, width = noisy.shape
    size = width * LATENT_CELL, height * LATENT_CELL
    portraits = networks.reference_net.reference_features(batch.reference)
    tokens = networks.audio_projection(batch.features.flatten(0, 1))  # (B*F, T, A)
    heard = kept.voice.to(tokens).repeat_interleave(frames)
    v = networks.unet(
        noisy.flatten(0, 1),
        timesteps.float().repeat_interleave(frames),
        tokens * heard[:, None, None],
        transformer_options={},
        reference=[
            {block: maps[i : i + 1] for block, maps in portraits.items()} if kept.reference[i] else None
            for i in range(clips)
        ],
        kps_images=[
            draw_kps(batch.kps[i], *size).movedim(-1, 1).to(noisy.device) if kept.kps[i] else None
            for i in range(clips)
        ],
        voices=kept.voice.tolist(),
        weights=AS_TRAINED,
    )
    return v.view_as(noisy)
