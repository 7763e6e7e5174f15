"""Trains one stage of V-Express as a JSON file says; docs are in vexpress/training/config.py."""

import argparse
import os
import sys
from pathlib import Path

import torch


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    parser.add_argument("config", type=Path, help="a JSON file")
    options = parser.parse_args(arguments)
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    args.use_pytorch_cross_attention = True  # the one that has gradients and is fast
    from ..vexpress.training.clips import ClipFolder
    from ..vexpress.training.config import load_config
    from ..vexpress.training.trainer import train

    device = torch.device("cpu" if args.cpu else "cuda")
    try:
        config = load_config(options.config)
        train(config, ClipFolder(Path(config.data)), device)
    except (OSError, ValueError, FloatingPointError) as error:
        sys.exit(str(error))
    return 0
