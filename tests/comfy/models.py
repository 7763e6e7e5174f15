"""The tiny networks of the golden files as checkpoint files, and what the tests share about them."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from golden_weights import GOLDEN, golden_shapes, golden_state_dict
from pack.vexpress.comfyui.clip import Clip
from pack.vexpress.comfyui.loader import DenoisingFiles, LoadedReferenceNet, load_denoising_model
from safetensors.torch import load_file, save_file
from torch import Tensor

NETWORKS = GOLDEN / "networks"
CASES = json.loads((NETWORKS / "cases.json").read_text())
PARTS = ("denoising_unet", "motion_module", "reference_net", "v_kps_guider", "audio_projection")


def golden(name: str) -> dict[str, Tensor]:
    return load_file(NETWORKS / f"{name}.safetensors")


def relative_error(result: Tensor, expected: Tensor) -> float:
    return ((result.float() - expected).norm() / expected.norm()).item()


def write_checkpoints(folder: Path) -> Path:
    """The five files as released, but tiny."""
    for part in PARTS:
        save_file(golden_state_dict(part, golden_shapes(part)), folder / f"{part}.safetensors")
    return folder


def tiny_model(folder: Path, **options):
    files = DenoisingFiles(
        *(str(folder / f"{p}.safetensors") for p in ("denoising_unet", "motion_module", "v_kps_guider"))
    )
    return load_denoising_model(files, **options)


def tiny_reference_net(folder: Path) -> LoadedReferenceNet:
    return LoadedReferenceNet(str(folder / "reference_net.safetensors"))


def segments_of(clip: Clip) -> Iterator[Tensor]:
    """All latents of a clip, as V-Express Render takes them. (f, 4, h, w) each"""
    while not clip.done:
        yield clip.next_latents()
        clip.release()


def meta_weights(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


class GreyVAE:
    """Shows the first latent channel, to tell frames apart."""

    largest = 0

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        self.largest = max(self.largest, len(latents))
        grey = (latents[:, :1] / 20 + 0.5).clamp(0, 1)
        return grey.repeat(1, 3, 8, 8).movedim(1, -1)
