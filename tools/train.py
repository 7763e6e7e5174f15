"""Trains one stage of V-Express as a JSON file says; docs are in docs/training.md."""

import argparse
import sys
from pathlib import Path

import torch

from ..vexpress.training.config import TrainingConfig, load_config
from ..vexpress.training.processes import is_one_of_several, join, launch, number_of_processes
from .comfyui import import_comfyui


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    parser.add_argument("config", type=Path, help="a JSON file")
    options = parser.parse_args(arguments)
    try:
        config = load_config(options.config)
        number = number_of_processes(config.processes)
        if number > 1 and not is_one_of_several():
            return launch(number, [sys.executable, *sys.orig_argv[1:]])
        train(config)
    except torch.OutOfMemoryError:
        sys.exit(
            'The memory of the GPU ran out: set "checkpointing": true, "precision": "bfloat16", or fewer clips or frames.'
        )
    except (OSError, ValueError, FloatingPointError) as error:
        sys.exit(str(error))
    return 0


def train(config: TrainingConfig) -> None:
    cpu = not torch.cuda.is_available()
    import_comfyui(cpu)
    device = join(cpu)
    from ..vexpress.training import trainer
    from ..vexpress.training.clips import ClipFolder

    trainer.train(config, ClipFolder(Path(config.data)), device)
