"""From the released files' names (diffusers) to ComfyUI's: one table for all UNet weights."""

import re
from collections.abc import Mapping

import comfy.model_detection
import comfy.utils
from torch import Tensor

from ..config import POSITIONAL_TABLE, UNetConfig
from ..model.unet import unet_arguments
from ..positions import sinusoid

LDM = "model.diffusion_model."  # before a UNet's names in a whole checkpoint
LDM_INPUT = f"{LDM}input_blocks.0.0.weight"
MOTION = re.compile(r"(.*)\.motion_modules\.(\d+)\.temporal_transformer\.(.*)")
REFERENCE = re.compile(r"(.*)\.attentions\.(\d+)\.transformer_blocks\.0\.((?:norm1_5|attn1_5)\..*)")


def block_names(config: UNetConfig) -> dict[str, str]:
    """`down_blocks.0.resnets.1` -> `input_2`, for the resnets that motion modules follow."""
    names = {}
    for key, place in comfy.utils.unet_to_diffusers(unet_arguments(config)).items():
        match = re.fullmatch(r"((?:down|up)_blocks\.\d+)\.resnets\.(\d+)\.conv1\.weight", key)
        if match:
            side, index = re.match(r"(input|output)_blocks\.(\d+)", place).groups()
            names[f"{match[1]}.{match[2]}"] = f"{side}_{index}"
    return {**names, "mid_block.0": "middle_0"}


def convert_unet(weights: Mapping[str, Tensor], config: UNetConfig) -> dict[str, Tensor]:
    """Rename a UNet's weights to ComfyUI's; a name without a counterpart stays as it is, for strict loading to name."""
    base = comfy.utils.unet_to_diffusers(unet_arguments(config))
    blocks = block_names(config)

    def place(key: str) -> str:
        if key in base:
            return base[key]
        for pattern, prefix in ((MOTION, "motion_modules"), (REFERENCE, "reference_attention")):
            match = pattern.fullmatch(key)
            if match and f"{match[1]}.{match[2]}" in blocks:
                return f"{prefix}.{blocks[f'{match[1]}.{match[2]}']}.{match[3]}"
        return key

    return {place(key): weight for key, weight in weights.items()}


def from_ldm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The UNet of a whole SD 1.5 checkpoint by diffusers' names; one without a counterpart stays as it is."""
    unet = {key.removeprefix(LDM): weight for key, weight in weights.items() if key.startswith(LDM)}
    names = comfy.utils.unet_to_diffusers(comfy.model_detection.detect_unet_config(unet, ""))
    names = {place: key for key, place in names.items()}
    return {names.get(key, key): weight for key, weight in unet.items()}


def without_positions(weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Leave out the motion modules' position tables, which the network computes, once they are what it computes."""
    for key, table in weights.items():
        if key.endswith(POSITIONAL_TABLE) and not table.is_meta:
            expected = sinusoid(*table.shape[1:]) if table.dim() == 3 else table[:0]
            if (
                table.shape[1:] != expected.shape or (table[0].float() - expected).abs().max() > 0.01
            ):  # fp8 and bf16 files round
                raise ValueError(
                    f"{source}: {key} is not the sinusoid that the motion modules were trained with."
                )
    return {key: weight for key, weight in weights.items() if not key.endswith(POSITIONAL_TABLE)}
