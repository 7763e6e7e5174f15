"""Random weights that are the same on every machine: each tensor is drawn from a seed made of its own name.

Tests rebuild the golden networks with it, and the demo its small stand-ins for the released files.
"""

import math
from hashlib import sha256

import torch
from torch import Tensor

from .positions import sinusoid

SALT = "vexpress-golden-1"


def rule_built_weights(namespace: str, shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Weights of one network, scaled so that signals neither die out nor blow up.

    namespace: denoising_unet, motion_module, reference_net, v_kps_guider, audio_projection, vae or wav2vec2
    """
    return {key: _weight(namespace, key, shapes) for key in shapes}


def _weight(namespace: str, key: str, shapes: dict[str, list[int]]) -> Tensor:
    shape = shapes[key]
    if key.endswith("pos_encoder.pe"):
        return sinusoid(shape[1], shape[2])[None]
    if "motion_modules" in key:
        namespace = "motion_module"
    draw = _draw(namespace, key, shape)
    if key.endswith("original0"):  # gain of wav2vec2's positional convolution; original1 is its direction
        hidden_size = shapes[key.removesuffix("0") + "1"][0]
        return (1 + 0.1 * draw) * (hidden_size / shape[-1]) ** 0.5
    if key == "latents":
        return draw / shape[-1] ** 0.5
    if key == "pos_emb.weight":
        return 0.5 * draw
    if len(shape) == 1:
        return 1 + 0.1 * draw if key.endswith("weight") else 0.1 * draw
    return draw * _gain(namespace, key) / math.prod(shape[1:]) ** 0.5


def _draw(namespace: str, key: str, shape: list[int]) -> Tensor:
    digest = sha256(f"{SALT}/{namespace}/{key}".encode()).digest()
    seed = int.from_bytes(digest[:8], "big") >> 1
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=torch.float32)


def _gain(namespace: str, key: str) -> float:
    sharp = key.endswith((".to_q.weight", ".q_proj.weight"))  # a sharper softmax, so that attention shows
    return 2.0 if sharp or namespace == "v_kps_guider" else 1.0
