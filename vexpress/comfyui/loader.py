"""From the released files to models under ComfyUI's memory management."""

import os
from collections.abc import Mapping
from typing import NamedTuple

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import torch
from comfy.latent_formats import SD15
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..config import UNetConfig, guider_channels, longest_window
from ..keys import check_sizes, load_weights
from ..model.reference import ReferenceFeatures, ReferenceNet
from ..model.unet import VExpressUNet, unet_arguments
from .context import set_context
from .files import load_checkpoint
from .fingerprint import file_identity
from .model import VExpressSD15
from .moving_preview import with_moving_preview
from .operations import pick_operations
from .unet_keys import convert_unet, without_positions

UNUSED_BY_REFERENCE_NET = (
    "conv_out.weight",
    "conv_out.bias",
)  # the released file keeps its output convolution


WEIGHT_DTYPES = {"default": None, "fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}


class DenoisingFiles(NamedTuple):
    """The three files that together are the denoising model."""

    denoising_unet: str
    motion_module: str | None  # None: the motion modules lie in the denoising_unet file
    v_kps_guider: str


def load_denoising_model(
    files: DenoisingFiles, weight_dtype: torch.dtype | None = None, disable_dynamic: bool = False
) -> ModelPatcher:
    """The MODEL: UNet, motion modules and V-Kps guider as one patcher, with the default context windows set."""
    loaded_from = weight_dtype, [file_identity(path) for path in files if path]  # before they are read
    weights, source = _unet_weights(files)
    guider = load_part(files.v_kps_guider, "v_kps_guider")
    source += f" and {os.path.basename(files.v_kps_guider)}"
    patcher = denoising_model(weights, guider, source, weight_dtype, disable_dynamic)
    patcher.model.loaded_from = loaded_from
    patcher.cached_patcher_init = (load_denoising_model, (files, weight_dtype))
    return with_moving_preview(set_context(patcher))


def denoising_model(
    weights: dict[str, Tensor],
    guider: dict[str, Tensor],
    source: str,
    weight_dtype: torch.dtype | None = None,
    disable_dynamic: bool = False,
) -> ModelPatcher:
    """
    weights: of the UNet and its motion modules, by their released names
    source:  what to call them where they do not fit
    """
    config = UNetConfig.of(weights, source)
    tables, weights = weights, convert_unet(without_positions(weights, source), config)
    weights.update({f"v_kps_guider.{key}": weight for key, weight in guider.items()})

    def arguments() -> dict:
        sizes = dict(guider_channels=guider_channels(guider), max_frames=longest_window(tables))
        return unet_arguments(config) | sizes

    check_sizes(
        lambda: VExpressUNet(dtype=None, operations=comfy.ops.manual_cast, **arguments()), weights, source
    )

    device = comfy.model_management.get_torch_device()
    model_config = VExpressSD15(arguments())
    dtype = weight_dtype or comfy.model_management.unet_dtype(
        model_params=comfy.utils.calculate_parameters(weights),
        supported_dtypes=model_config.supported_inference_dtypes,
        weight_dtype=comfy.utils.weight_dtype(weights),
    )
    cast = comfy.model_management.unet_manual_cast(dtype, device, model_config.supported_inference_dtypes)
    model_config.set_inference_dtype(dtype, cast)
    model_config.custom_operations = pick_operations(dtype, cast, device)

    model = model_config.get_model(weights)
    patcher_class = ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    offload_device = comfy.model_management.unet_offload_device()
    patcher = patcher_class(model, load_device=device, offload_device=offload_device)
    model.to(offload_device)
    load_weights(model.diffusion_model, weights, source, assign=patcher.is_dynamic())
    return patcher


def _unet_weights(files: DenoisingFiles) -> tuple[dict[str, Tensor], str]:
    weights = load_part(files.denoising_unet, "denoising_unet")
    source = os.path.basename(files.denoising_unet)
    if files.motion_module is not None:  # its weights come second, as the reference implementation loads them
        weights |= load_part(files.motion_module, "motion_module")
        source += f" with {os.path.basename(files.motion_module)}"
    if not any("motion_modules" in key for key in weights):
        raise ValueError(f"{source} has no motion modules: choose the file that holds them as motion_module.")
    return weights, source


class LoadedReferenceNet:
    """ReferenceNet with its patcher; the value of a VEXPRESS_REFERENCE_NET socket."""

    def __init__(self, path: str):
        weights = load_part(path, "reference_net")
        weights = {key: weight for key, weight in weights.items() if key not in UNUSED_BY_REFERENCE_NET}
        name = os.path.basename(path)
        config = UNetConfig.of(weights, name)
        weights = convert_unet(weights, config)
        layers = dict(dtype=None, operations=comfy.ops.manual_cast)
        check_sizes(lambda: ReferenceNet(**layers, **unet_arguments(config)), weights, name)
        device = comfy.model_management.get_torch_device()
        dtype = comfy.model_management.unet_dtype(model_params=comfy.utils.calculate_parameters(weights))
        cast = comfy.model_management.unet_manual_cast(dtype, device)
        self.dtype = cast or dtype
        operations = pick_operations(dtype, cast, device)
        net = ReferenceNet(dtype=dtype, operations=operations, **unet_arguments(config))
        self.patcher = comfy.model_patcher.CoreModelPatcher(
            net.eval().requires_grad_(False), device, comfy.model_management.unet_offload_device()
        )
        comfy.model_management.archive_model_dtypes(net)
        load_weights(net, weights, name, assign=self.patcher.is_dynamic())

    def reference_features(self, latents: Tensor) -> ReferenceFeatures:
        """latents: (1, 4, h, w) the portrait as a VAE gives it"""
        comfy.model_management.load_models_gpu([self.patcher])
        latents = SD15().process_in(latents).to(self.patcher.load_device, self.dtype)
        if (
            min(latents.shape[2:]) <= 8
        ):  # torch normalises no single value, which the smallest networks have here
            latents = latents.expand(2, -1, -1, -1)
        features = self.patcher.model.reference_features(latents)
        keep = comfy.model_management.intermediate_device()
        return {block: hidden[:1].to(keep) for block, hidden in features.items()}


def load_part(path: str, part: str) -> dict[str, Tensor]:
    """Weights of one of the five released files; raise when it is another of the five."""
    weights = load_checkpoint(path)
    found, name = part_of(weights), os.path.basename(path)
    if found is None:
        raise ValueError(
            f"{name} is none of V-Express's five files: it has weights such as {next(iter(weights))}."
        )
    if found != part:
        raise ValueError(f"{name} is a {found} file, but was chosen as {part}.")
    return weights


def part_of(weights: Mapping[str, Tensor]) -> str | None:
    """Which of the released files these weights are, or None if they look like none of them."""
    if "latents" in weights:
        return "audio_projection"
    if "blocks.0.weight" in weights:
        return "v_kps_guider"
    if all("motion_modules" in key for key in weights):
        return "motion_module"
    if any("attn1_5" in key for key in weights):
        return "denoising_unet"
    return "reference_net" if "down_blocks.0.resnets.0.conv1.weight" in weights else None
