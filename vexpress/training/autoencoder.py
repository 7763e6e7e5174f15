"""A small autoencoder for drawn faces, in TAESD's layout, which ComfyUI's own VAE loader reads.

It is narrower than TAESD. ReLUs keep a channel of zeros at zero, so zeros can fill it up to the layout's 64.
"""

import math
from typing import NamedTuple

import torch
from comfy.taesd.taesd import Block, Clamp, conv
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 64)  # at full size, a half, a quarter, an eighth
LATENT_CHANNELS = 4
LATENT_NOISE = 0.08  # what the decoder is to forgive, in the latents' standard deviations
FACE_WEIGHT = 4.0  # of the middle of mouth and eyes, beside 1 elsewhere
UNIT_WEIGHT = 0.02


class Picture(NamedTuple):
    """
    images:  (B, 3, H, W) 0..1
    lip_box: (B, 4) left, top, right, bottom in pixels
    eyes:    (B, 2, 2) x, y in pixels
    """

    images: Tensor
    lip_box: Tensor
    eyes: Tensor


class Autoencoder(nn.Module):
    """Pictures 0..1 to the UNet's latents and back. Its layers have TAESD's names."""

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS):
        super().__init__()
        full, half, quarter, eighth = widths
        self.taesd_encoder = nn.Sequential(
            conv(3, full),
            Block(full, full),
            *(_down(full, half), *_blocks(half, 3)),
            *(_down(half, quarter), *_blocks(quarter, 3)),
            *(_down(quarter, eighth), *_blocks(eighth, 3)),
            conv(eighth, LATENT_CHANNELS),
        )
        self.taesd_decoder = nn.Sequential(
            Clamp(),
            conv(LATENT_CHANNELS, eighth),
            nn.ReLU(),
            *(*_blocks(eighth, 3), nn.Upsample(scale_factor=2), conv(eighth, quarter, bias=False)),
            *(*_blocks(quarter, 3), nn.Upsample(scale_factor=2), conv(quarter, half, bias=False)),
            *(*_blocks(half, 3), nn.Upsample(scale_factor=2), conv(half, full, bias=False)),
            Block(full, full),
            conv(full, 3),
        )
        for weight in self.parameters():  # ComfyUI's layers leave them as they find the memory
            if weight.dim() == 1:
                nn.init.zeros_(weight)
            else:
                nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) 0..1 -> (B, 4, H/8, W/8)"""
        return self.taesd_encoder(images)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, 4, h, w) -> (B, 3, 8h, 8w), about 0..1"""
        return self.taesd_decoder(latents)


def _down(narrow: int, wide: int) -> nn.Module:
    return conv(narrow, wide, stride=2, bias=False)


def _blocks(width: int, number: int) -> list[nn.Module]:
    return [Block(width, width) for _ in range(number)]


def loss_of(autoencoder: Autoencoder, batch: Picture, noise: Tensor) -> Tensor:
    """Pictures and their edges, mouth and eyes more than the rest; latents of mean 0 and deviation 1.

    noise: (B, 4, H/8, W/8) normal, added to the latents before they are decoded
    """
    latents = autoencoder.encode(batch.images)
    decoded = autoencoder.decode(latents + LATENT_NOISE * noise.to(latents)).float()
    weight = 1 + FACE_WEIGHT * features_mask(batch)
    off = decoded - batch.images
    edges = (off.diff(dim=2).abs() * weight[:, :, 1:]).mean() + (
        off.diff(dim=3).abs() * weight[..., 1:]
    ).mean()
    latents = latents.float()
    mean, deviation = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    unit = mean.square().mean() + (deviation - 1).square().mean()
    return (weight * (off.abs() + 2 * off.square())).mean() + 0.5 * edges + UNIT_WEIGHT * unit


def features_mask(batch: Picture) -> Tensor:
    """1 in the middle of the mouth and of each eye, falling off like a bell: (B, 1, H, W)"""
    boxes = batch.lip_box
    mouth = torch.stack([boxes[:, [0, 2]].mean(1), boxes[:, [1, 3]].mean(1)], dim=-1)
    apart = (batch.eyes[:, 0] - batch.eyes[:, 1]).norm(dim=-1)
    centres = torch.cat([batch.eyes, mouth[:, None]], dim=1)  # (B, 3, 2)
    radius = apart[:, None] * torch.tensor([0.28, 0.28, 0.42], device=apart.device)  # (B, 3)
    height, width = batch.images.shape[-2:]
    y = torch.arange(height, device=apart.device)[:, None] + 0.5
    x = torch.arange(width, device=apart.device) + 0.5
    away = (x - centres[..., 0, None, None]).square() + (y - centres[..., 1, None, None]).square()
    return (-0.5 * away / radius.square()[..., None, None]).exp().amax(1, keepdim=True)


def signal_to_noise(decoded: Tensor, images: Tensor) -> float:
    """PSNR in dB, over all pictures together."""
    return -10 * (decoded.clamp(0, 1) - images).square().mean().log10().item()
