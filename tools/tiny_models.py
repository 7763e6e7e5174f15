"""
Small networks that stand in for the released files where those are not at hand: same layout, same names,
random weights built by rule. Everything runs through them as through the real ones; pictures mean nothing.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..vexpress.tiny import rule_built_weights
from . import model_shapes
from .example_person import SIZE, portrait_points
from .model_shapes import TALKER, TINY, Sizes
from .talker_file import NETWORKS, talker_weights
from .tiny_landmarker import tiny_landmarker

DENOISING_UNET = "vexpress/denoising_unet.bin"
MOTION_MODULE = "vexpress/motion_module.bin"
REFERENCE_NET = "vexpress/reference_net.bin"
V_KPS_GUIDER = "vexpress/v_kps_guider.bin"
AUDIO_PROJECTION = "vexpress/audio_projection.bin"
AUDIO_ENCODER = "audio_encoders/wav2vec2-base-960h.safetensors"
VAE = "vae/sd-vae-ft-mse.safetensors"
LANDMARKER = "detection/mediapipe_face_fp32.safetensors"
INTERPOLATOR = "frame_interpolation/film_net_fp16.safetensors"
UPSCALER = "upscale_models/RealESRGAN_x4plus.safetensors"
RELEASED = [DENOISING_UNET, MOTION_MODULE, REFERENCE_NET, V_KPS_GUIDER, AUDIO_PROJECTION, AUDIO_ENCODER, VAE]


def write_tiny_models(models: Path) -> None:
    """Fills a folder laid out as ComfyUI's `models/`, in a fraction of a second."""
    networks = {name: tiny_weights(name) for name in NETWORKS} | {"vae": _taesd()}
    _write_models(models, networks, TINY)


def write_talker(models: Path) -> None:
    """The same with what was taught to talk, on drawn faces of 128 pixels."""
    _write_models(models, talker_weights(), TALKER)


def _write_models(models: Path, networks: dict[str, dict[str, Tensor]], sizes: Sizes) -> None:
    for file in (*RELEASED, INTERPOLATOR, UPSCALER):
        (models / file).parent.mkdir(parents=True, exist_ok=True)
    for file in (DENOISING_UNET, MOTION_MODULE, REFERENCE_NET, V_KPS_GUIDER, AUDIO_PROJECTION):
        torch.save(networks[Path(file).stem], models / file)
    save_file(_hub_names(networks["wav2vec2"]), models / AUDIO_ENCODER)
    save_file(networks["vae"], models / VAE)
    save_file(_crossfade(), models / INTERPOLATOR)
    save_file(_enlarged_pixels(), models / UPSCALER)
    config = (models / AUDIO_ENCODER).with_suffix(".json")
    config.write_text(json.dumps(model_shapes.wav2vec2_config(sizes), indent=1), encoding="utf-8")
    write_tiny_landmarker(models)


def write_tiny_landmarker(models: Path) -> None:
    """Finds a face in every picture where the example portrait has it."""
    (models / LANDMARKER).parent.mkdir(parents=True, exist_ok=True)
    save_file(tiny_landmarker(portrait_points() / SIZE - 0.5), models / LANDMARKER)


def tiny_weights(name: str) -> dict[str, Tensor]:
    return model_shapes.rule_built(name, TINY)


def _hub_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the public file of wav2vec2-base-960h spells them."""
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    renamed = {}
    for key, weight in weights.items():
        stem, _, end = key.partition("conv.parametrizations")
        renamed[f"wav2vec2.{stem}conv.{old['parametrizations' + end]}" if end else f"wav2vec2.{key}"] = weight
    return renamed


def _taesd() -> dict[str, Tensor]:
    """TAESD's layout, its last layer set so that pictures are neither black nor white."""
    weights = rule_built_weights("taesd", model_shapes.taesd())
    weights["taesd_decoder.19.weight"] *= 0.5
    weights["taesd_decoder.19.bias"] += torch.tensor([0.7, 0.65, 0.47])
    return weights | {"vae_scale": torch.tensor(0.18215), "vae_shift": torch.tensor(0.0)}


def _crossfade() -> dict[str, Tensor]:
    """A frame interpolation that moves nothing: the picture between two is their mean."""
    return {key: torch.zeros(shape) for key, shape in model_shapes.ifnet().items()}


def _enlarged_pixels() -> dict[str, Tensor]:
    """An upscaler that adds nothing: every pixel becomes a square of sixteen."""
    weights = {key: torch.zeros(shape) for key, shape in model_shapes.esrgan().items()}
    for name in ("conv_first", "conv_up1", "conv_up2", "conv_hr", "conv_last"):
        weights[f"{name}.weight"][:, :, 1, 1] = torch.eye(3)
    return weights
