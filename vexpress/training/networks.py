"""The networks that are trained, read from and written to files in the released layout."""

from pathlib import Path

import comfy.ops
import torch
from safetensors import safe_open
from torch import Tensor, nn

from ..comfyui.loader import UNUSED_BY_REFERENCE_NET, load_part
from ..comfyui.unet_keys import convert_unet, without_positions
from ..config import POSITIONAL_TABLE, UNetConfig, guider_channels, longest_window
from ..keys import load_weights
from ..model.audio_projection import AudioProjection, AudioProjectionConfig
from ..model.reference import ReferenceNet
from ..model.unet import VExpressUNet, unet_arguments

PARTS = ("denoising_unet", "motion_module", "reference_net", "v_kps_guider", "audio_projection")
SUFFIXES = (".safetensors", ".bin", ".pth")
TRAINED_STAGE = "trained_stage"  # in a file's metadata: the highest stage that its weights have seen
Parts = dict[str, dict[str, Tensor]]  # per released file, its weights by their released names


class Networks(nn.Module):
    """All that is trained, in float32, of the layers that ComfyUI runs it with."""

    def __init__(self, parts: Parts, source: str):
        """source: what to call the files where they do not fit"""
        super().__init__()
        unet = parts["denoising_unet"] | parts["motion_module"]
        portrait = {k: w for k, w in parts["reference_net"].items() if k not in UNUSED_BY_REFERENCE_NET}
        guider, projection = parts["v_kps_guider"], parts["audio_projection"]
        config, portrait_config = UNetConfig.of(unet, source), UNetConfig.of(portrait, source)
        layers = dict(dtype=torch.float32, operations=comfy.ops.disable_weight_init)
        self.unet = VExpressUNet(
            guider_channels(guider), longest_window(unet), **layers, **unet_arguments(config)
        )
        self.reference_net = ReferenceNet(**layers, **unet_arguments(portrait_config))
        self.audio_projection = AudioProjection(AudioProjectionConfig.of(projection), **layers)

        self.position_tables = {
            k: w for k, w in parts["motion_module"].items() if k.endswith(POSITIONAL_TABLE)
        }
        released = {f"v_kps_guider.{k}": k for k in guider}
        released |= convert_unet({k: k for k in without_positions(unet, source)}, config)
        self.released = {f"unet.{own}": k for own, k in released.items()}  # own name -> released name
        released = convert_unet({k: k for k in portrait}, portrait_config)
        self.released |= {f"reference_net.{own}": k for own, k in released.items()}
        self.released |= {f"audio_projection.{k}": k for k in projection}
        weights = {own: parts[part_of(own)][k] for own, k in self.released.items()}
        weights = {own: weight.detach().clone().float() for own, weight in weights.items()}
        load_weights(self, weights, source)

    def parts(self, weights: dict[str, Tensor]) -> Parts:
        """What the released files hold. weights: by this module's names"""
        parts: Parts = {part: {} for part in PARTS}
        for own, released in self.released.items():
            parts[part_of(own)][released] = weights[own].detach().cpu().contiguous()
        parts["motion_module"] |= self.position_tables
        return parts


def part_of(own: str) -> str:
    """Which released file holds a parameter of `Networks`."""
    net, module, *_ = own.split(".")
    if net != "unet":
        return net
    sides = {"v_kps_guider": "v_kps_guider", "motion_modules": "motion_module"}
    return sides.get(module, "denoising_unet")


def load_networks(folder: Path) -> Networks:
    """From a folder with the five released files. Motion modules may also lie in the denoising UNet's."""
    parts = {}
    for part in PARTS:
        path = _file(folder, part)
        parts[part] = load_part(str(path), part) if path else {}
    everything = parts["denoising_unet"] | parts["motion_module"]
    parts["motion_module"] = {k: w for k, w in everything.items() if "motion_modules" in k}
    parts["denoising_unet"] = {k: w for k, w in everything.items() if "motion_modules" not in k}
    missing = [part for part in PARTS if not parts[part]]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}: put V-Express's five files there.")
    return Networks(parts, str(folder))


def trained_stage(folder: Path) -> int:
    """The highest stage that the weights in a folder say they have seen; 0 where they say nothing."""
    path = _file(folder, "denoising_unet")
    if path is None or path.suffix != ".safetensors":
        return 0
    with safe_open(path, "pt") as file:
        return int((file.metadata() or {}).get(TRAINED_STAGE, 0))


def _file(folder: Path, part: str) -> Path | None:
    return next((path for s in SUFFIXES if (path := folder / f"{part}{s}").is_file()), None)
