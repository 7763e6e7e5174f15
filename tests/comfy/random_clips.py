"""Clips of nothing in particular, and what the tests of training share about them."""

from pathlib import Path

import torch
from pack.vexpress.training.clips import Sample
from safetensors.torch import save_file

CPU = torch.device("cpu")
SIZE = 16  # of the latents


def draw_clip(frames: int, generator: torch.Generator) -> Sample:
    """A clip of nothing in particular."""

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    points = torch.tensor([[20.0, 20.0], [44.0, 20.0], [32.0, 36.0]])
    lips = torch.tensor([20.0, 40.0, 44.0, 56.0]).expand(frames, 4)
    return Sample(
        random(frames, 4, SIZE, SIZE),
        random(4, SIZE, SIZE),
        points + 3 * random(frames, 1, 2),
        random(frames, 10, 32),
        lips,
    )


def quiet(text: str) -> None:
    pass


def weights_of(networks) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in networks.state_dict().items()}


def changed(before: dict, networks) -> set[str]:
    return {name for name, weight in networks.state_dict().items() if not weight.equal(before[name])}


def write_video(folder: Path, name: str, frames: int, first: float = 0.0) -> None:
    """A prepared video whose first channel counts its frames."""
    sample = draw_clip(frames, torch.Generator().manual_seed(frames))
    sample.latents[:, 0] = torch.arange(frames)[:, None, None]
    sample.features[1:-1] += first
    save_file({k: v.contiguous() for k, v in sample._asdict().items() if k != "reference"}, folder / name)
