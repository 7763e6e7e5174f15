"""sd-vae-ft-mse through ComfyUI's own loader, in both layouts it is published in, against diffusers."""

import json

import comfy.sd
import pytest
import torch
from diffusers import AutoencoderKL
from models import NETWORKS, relative_error
from pack.vexpress.tiny import rule_built_weights

OLDER_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture(scope="module")
def weights():
    return rule_built_weights("vae", json.loads((NETWORKS / "released_shapes.json").read_text())["vae"])


def with_older_names(weights: dict) -> dict:
    """As the published file names the attention of the middle blocks."""
    renamed = {}
    for key, weight in weights.items():
        for name, older in OLDER_NAMES.items() if "mid_block.attentions" in key else ():
            key = key.replace(f".{name}.", f".{older}.")
        renamed[key] = weight
    return renamed


@pytest.mark.parametrize("layout", [dict, with_older_names], ids=["newer", "older"])
def test_the_vae_gives_the_mean_of_its_distribution(layout, weights):
    oracle = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 256, 512, 512],
        layers_per_block=2,
    )
    oracle.load_state_dict(weights)
    pixels = torch.rand(1, 64, 72, 3, generator=torch.Generator().manual_seed(0))
    expected = oracle.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mean
    assert relative_error(comfy.sd.VAE(sd=layout(weights)).encode(pixels), expected) < 2e-5
