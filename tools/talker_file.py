"""The tiny talker's one file, and the released files that are made of it."""

import functools
import lzma
import re
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save
from torch import Tensor

from . import model_shapes
from .model_shapes import TALKER

TALKER_FILE = Path(__file__).resolve().parents[1] / "tiny_talker" / "talker.safetensors.xz"
NETWORKS = (
    "denoising_unet",
    "motion_module",
    "reference_net",
    "v_kps_guider",
    "audio_projection",
    "wav2vec2",
)
SD15_SCALE = 0.18215  # between a VAE's latents and the UNet's
BY_RULE = {  # what training leaves as the rule made it, or what meets nothing but zeros
    "motion_module": r".*\.pe",
    "reference_net": r"up_blocks\.3\..*|conv_out\..*|.*\.attn2\.(to_[qkv]|to_out\.0)\.weight",
    "wav2vec2": r"masked_spec_embed",
}


def write_talker_file(folder: Path) -> None:
    """Gather what `dev.py talker` made, in float16."""
    from ..vexpress.training.saving import newest_checkpoint
    from .talker import STAGES

    trained = newest_checkpoint(folder / STAGES[-1])
    if trained is None:
        raise FileNotFoundError(f"{folder} holds no checkpoint of {STAGES[-1]}.")
    weights = {}
    for name in NETWORKS:
        source = folder / "wav2vec2.safetensors" if name == "wav2vec2" else trained / f"{name}.safetensors"
        left_out = re.compile(BY_RULE.get(name, "(?!)"))
        kept = {key: w for key, w in load_file(source).items() if not left_out.fullmatch(key)}
        weights |= {f"{name}.{key}": weight.half() for key, weight in kept.items()}
    weights |= {
        f"vae.{key}": weight.half() for key, weight in load_file(folder / "decoder.safetensors").items()
    }
    TALKER_FILE.write_bytes(lzma.compress(save(weights)))
    print(f"{TALKER_FILE}: {TALKER_FILE.stat().st_size / 1e6:.1f} MB")


def talker_weights() -> dict[str, dict[str, Tensor]]:
    """By network: those of `NETWORKS` under their released names, and `vae` in TAESD's layout."""
    networks = {name: model_shapes.rule_built(name, TALKER) for name in NETWORKS}
    networks["vae"] = {key: torch.zeros(shape) for key, shape in model_shapes.taesd().items()}
    for name, weights in networks.items():
        for key, weight in stored_weights(name).items():  # the autoencoder's are narrower than the layout
            weights[key][tuple(slice(length) for length in weight.shape)] = weight
    networks["vae"] |= {"vae_scale": torch.tensor(SD15_SCALE), "vae_shift": torch.tensor(0.0)}
    return networks


def stored_weights(name: str) -> dict[str, Tensor]:
    """What the file holds of one network, in float32."""
    return {
        key.removeprefix(f"{name}."): weight.float()
        for key, weight in _stored().items()
        if key.startswith(f"{name}.")
    }


@functools.cache  # to unpack it takes a second
def _stored() -> dict[str, Tensor]:
    return load(lzma.decompress(TALKER_FILE.read_bytes()))
