"""Turns the published weights into fp16 safetensors: half the size, and nothing to unpickle."""

import argparse
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

PACK = Path(os.path.abspath(__file__)).parents[1]  # in custom_nodes, also where that holds a link
PUBLISHED = (".bin", ".pth", ".pt", ".ckpt")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="convert", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="weights, or a folder that holds them")
    parser.add_argument("--output", type=Path, help="folder to write to (default: beside each file)")
    options = parser.parse_args(arguments)
    files = [file for path in options.files for file in _weights_in(path)]
    if not files:
        sys.exit(f"No {', '.join(PUBLISHED)} file in {', '.join(map(str, options.files))}.")
    _find_comfyui()
    for file in files:
        target = (options.output or file.parent) / f"{file.stem}.safetensors"
        try:
            convert(file, target)
        except (OSError, ValueError) as error:
            sys.exit(str(error))
        print(f"{target}  {file.stat().st_size / 1e6:.0f} MB -> {target.stat().st_size / 1e6:.0f} MB")
    return 0


def _find_comfyui() -> None:
    """Make the one named by COMFYUI_PATH, or else the one whose custom_nodes holds this pack, importable."""
    comfyui = Path(os.environ.get("COMFYUI_PATH") or PACK.parents[1])
    if not (comfyui / "comfy" / "cli_args.py").is_file():
        sys.exit(f"{comfyui} is no ComfyUI: put this pack into its custom_nodes, or set COMFYUI_PATH to it.")
    sys.path.insert(0, str(comfyui))
    from comfy.cli_args import args

    args.cpu = True  # with a GPU's torch but no GPU, ComfyUI would not start


def _weights_in(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.suffix in PUBLISHED) if path.is_dir() else [path]


def convert(source: Path, target: Path) -> None:
    """Write `target` whole or not at all. Raises ValueError where `source` holds no weights of V-Express."""
    from ..vexpress.comfyui.files import load_checkpoint
    from ..vexpress.comfyui.loader import part_of

    weights = load_checkpoint(str(source))
    part = part_of(weights)
    if part is None:
        raise ValueError(f"{source.name} is none of V-Express's five files.")
    half = {key: weight.to(torch.float16).contiguous() for key, weight in weights.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    save_file(half, unfinished, metadata={"part": part, "converted_from": source.name})
    os.replace(unfinished, target)
