"""
Measures the full-size denoising UNet, with weights built by rule, on the CPU or a CUDA GPU: seconds and peak memory
for one guided step of one context window, beside the machine's own matrix and copy speed. Nothing is downloaded.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..vexpress.tiny import rule_built_weights
from . import model_shapes
from .server import peak_memory

STEP_GFLOP = {256: 547, 512: 2555}  # of one frame with guidance, multiply-add counted as 2


class Row(NamedTuple):
    """One line of the table. `gflop` is None where nobody counted."""

    name: str
    seconds: float
    gflop: float | None = None

    def line(self) -> str:
        rate = "" if self.gflop is None else f"{self.gflop / self.seconds:.0f} GFLOP/s"
        return f"{self.name:<44}{self.seconds:>10.3f} s{rate:>16}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("--size", type=int, nargs="*", default=[256], choices=[256, 512], help="pixels")
    parser.add_argument("--frames", type=int, nargs="*", default=[12], help="frames of a context window")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each; the median is shown")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args(arguments)

    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    args.use_pytorch_cross_attention = True
    rows = []
    with torch.inference_mode():
        for row in measure(options):
            rows.append(row)
            print(row.line(), flush=True)
    print(f"{'peak memory':<44}{peak() / 1e9:>10.1f} GB")
    if options.json:
        numbers = {"peak_memory": peak(), "rows": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(numbers, indent=1), encoding="utf-8")
    return 0


def measure(options: argparse.Namespace) -> Iterator[Row]:
    from comfy.model_management import get_torch_device

    device = get_torch_device()
    yield from machine(device, options.runs)
    denoise = denoising_step(device)
    for size in options.size:
        for frames in options.frames:
            seconds = median(lambda s=size, f=frames: denoise(s, f), options.runs)
            yield Row(f"denoising step, {frames} frames of {size} px", seconds, frames * STEP_GFLOP[size])


def machine(device: torch.device, runs: int) -> Iterator[Row]:
    """What the machine does at best: a matrix product of 4096, and a copy of 1 GB."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    matrix = torch.randn(4096, 4096, device=device, dtype=dtype)
    block = torch.zeros(1 << 28, device=device)
    yield Row("matrix product of 4096", median(lambda: matrix @ matrix, runs), 2 * 4096**3 / 1e9)
    yield Row("copy of 1 GiB", median(lambda: block.clone(), runs))


def denoising_step(device: torch.device) -> Callable[[int, int], Tensor]:
    """A forward of the denoising UNet with guidance, as a function of picture size and frames."""
    from comfy.model_management import load_models_gpu

    from ..vexpress.comfyui.loader import denoising_model
    from ..vexpress.model.unet import AttentionWeights

    sizes = model_shapes.Sizes()
    parts = {
        name: rule_built_weights(name, getattr(model_shapes, name)(sizes))
        for name in ("denoising_unet", "motion_module", "v_kps_guider")
    }
    weights = parts["denoising_unet"] | parts["motion_module"]
    patcher = denoising_model(weights, parts["v_kps_guider"], "rule-built weights")
    del parts, weights
    load_models_gpu([patcher])
    net, dtype = patcher.model.diffusion_model, patcher.model.get_dtype_inference()
    widths = {
        block: attention.norm1_5.weight.shape[0] for block, attention in net.reference_attention.items()
    }

    def forward(size: int, frames: int) -> Tensor:
        x = torch.randn(2 * frames, 4, size // 8, size // 8, device=device, dtype=dtype)
        reference = {
            block: torch.randn(1, places(block, size), widths[name], device=device, dtype=dtype)
            for block, name in net.names.items()
            if name in widths
        }
        kps = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=device)
        tokens = torch.randn(2 * frames, 5, sizes.audio_width, device=device, dtype=dtype)
        return net(
            x,
            torch.full((2 * frames,), 500.0, device=device),
            tokens,
            transformer_options={"cond_or_uncond": [1, 0]},
            reference=[None, reference],
            kps_images=[None, kps],
            voices=[False, True],
            weights=AttentionWeights(),
        )

    return forward


def places(block: tuple[str, int], size: int) -> int:
    """Positions of the latent at a transformer block."""
    side, index = block
    level = {"input": index // 3, "middle": 3, "output": (11 - index) // 3}[side]
    return (size // 8 >> level) ** 2


def median(work: Callable[[], Tensor], runs: int) -> float:
    """Seconds, after one run that is not counted."""
    seconds = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        result = work()
        if result.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def peak() -> int:
    """Bytes: of the GPU if there is one, else of the process."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else peak_memory(os.getpid())
