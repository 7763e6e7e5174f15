"""Starting from Stable Diffusion 1.5 and AnimateDiff, when nothing of V-Express has been learnt yet (SPEC 9)."""

from pathlib import Path

import torch
from torch import Tensor, nn

from ..comfyui.files import load_checkpoint
from ..comfyui.loader import part_of
from ..comfyui.unet_keys import LDM_INPUT, from_ldm
from ..config import POSITIONAL_TABLE, UNetConfig
from ..model.audio_projection import AudioProjection, AudioProjectionConfig
from ..model.guider import VKpsGuider
from .networks import Parts

UNET_FILES = tuple(f"diffusion_pytorch_model{end}" for end in (".safetensors", ".fp16.safetensors", ".bin"))
GUIDER_CHANNELS = (16, 32, 96, 256)  # as released
OUTPUT_LAYERS = ("conv_norm_out.", "conv_out.")


def first_parts(unet: Path, motion: Path, seed: int) -> Parts:
    """What V-Express's five files hold before stage 1.

    unet:   Stable Diffusion 1.5's UNet, as a file or folder of diffusers, or a whole checkpoint
    motion: AnimateDiff's motion modules
    seed:   of the V-Kps guider and the audio projection, which start from chance
    """
    base = _unet_weights(_unet_file(unet))
    config = UNetConfig.of(base, unet.name)
    if config.latent_channels != 4:
        raise ValueError(f"{unet.name} reads {config.latent_channels} channels; latents have 4.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        guider = _fresh_guider(config.channels[0])
        audio_projection = _fresh_audio_projection(config.context_width)
    return {
        "denoising_unet": base | _reference_attention(base),
        "motion_module": _motion_weights(motion),
        "reference_net": {k: w for k, w in base.items() if not k.startswith(OUTPUT_LAYERS)},
        "v_kps_guider": guider.state_dict(),
        "audio_projection": audio_projection.state_dict(),
    }


def _unet_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = [folder / name for folder in (path / "unet", path) for name in UNET_FILES]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"{path} holds no {UNET_FILES[0]}, and no folder unet that does.")
    return found


def _unet_weights(path: Path) -> dict[str, Tensor]:
    """By diffusers' names."""
    weights = load_checkpoint(str(path))
    if LDM_INPUT in weights:
        return from_ldm(weights)
    if part_of(weights) != "reference_net":  # whose layout is plain Stable Diffusion's
        raise ValueError(
            f"{path.name} holds no UNet of Stable Diffusion 1.5: it has weights such as {next(iter(weights))}."
        )
    return weights


def _reference_attention(base: dict[str, Tensor]) -> dict[str, Tensor]:
    """A frame begins to look at the portrait as it looks at itself."""
    copied = {}
    for key, weight in base.items():
        block, found, rest = key.partition(".transformer_blocks.0.")
        layer, _, end = rest.partition(".")
        if found and layer in ("attn1", "norm1"):
            copied[f"{block}{found}{layer}_5.{end}"] = weight
    return copied


def _motion_weights(path: Path) -> dict[str, Tensor]:
    weights = {key.removeprefix("module."): w for key, w in load_checkpoint(str(path)).items()}
    if part_of(weights) != "motion_module" or not any(key.endswith(POSITIONAL_TABLE) for key in weights):
        raise ValueError(
            f"{path.name} holds no motion modules of AnimateDiff: it has weights such as {next(iter(weights))}."
        )
    return weights


def _fresh_guider(width: int) -> VKpsGuider:
    """Adds nothing at first, so that training begins with Stable Diffusion's own pictures."""
    guider = VKpsGuider(GUIDER_CHANNELS, width)
    for layer in (guider.conv_in, *guider.blocks):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    nn.init.zeros_(guider.conv_out.weight)
    nn.init.zeros_(guider.conv_out.bias)
    return guider


def _fresh_audio_projection(width: int) -> AudioProjection:
    config = AudioProjectionConfig(feature_width=width, token_width=width, width=width)
    projection = AudioProjection(config, operations=nn)
    nn.init.normal_(projection.latents, std=width**-0.5)
    return projection
