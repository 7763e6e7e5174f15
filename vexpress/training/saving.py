"""Checkpoints: a folder with the released files for use, and what is needed to go on training."""

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..comfyui.disk import replace
from .networks import TRAINED_STAGE

if TYPE_CHECKING:
    from .trainer import Trainer

STATE = "trainer.safetensors"
WEIGHTS = "weights"
FINISHED = "step-" + 8 * "[0-9]"


def newest_checkpoint(output: Path) -> Path | None:
    return max(output.glob(FINISHED), default=None)


def save_checkpoint(trainer: "Trainer", output: Path) -> Path:
    """Written whole or not at all; the oldest ones make room.

    The released files hold the moving average, the trainer's state the weights as they are now.
    """
    folder = output / f"step-{trainer.step:08d}"
    unfinished = folder.with_suffix(".unfinished")
    with _removed_on_failure(unfinished):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        said = {TRAINED_STAGE: str(trainer.trained_stage)}
        for part, weights in trainer.networks.parts(trainer.averaged_weights()).items():
            write_tensors(unfinished / f"{part}.safetensors", weights, said)
        told = {"stage": str(trainer.config.stage), "step": str(trainer.step)}
        write_tensors(unfinished / STATE, _state(trainer), told)
        replace(unfinished, folder)
    for old in sorted(output.glob(FINISHED))[: -trainer.config.keep]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def restore(trainer: "Trainer", folder: Path) -> None:
    """Make a trainer, whose networks hold a checkpoint's average, what it was when the checkpoint was written."""
    try:
        state = safe_open(folder / STATE, "pt")
    except (SafetensorError, FileNotFoundError) as error:
        raise damaged(folder) from error
    with state as file:
        told = file.metadata()
        if int(told["stage"]) != trainer.config.stage:
            raise ValueError(
                f"{folder.parent} holds a run of stage {told['stage']}: choose another output for stage "
                f"{trainer.config.stage}."
            )
        for key in file.keys():
            kind, name = key.split(".", 1)
            parameter, value = trainer.trained[name], file.get_tensor(key)
            if kind == WEIGHTS:
                parameter.data.copy_(value)
            else:
                trainer.optimizer.state[parameter][kind] = value.to(parameter.device)
    trainer.step = trainer.ema.optimization_step = int(told["step"])


def damaged(checkpoint: Path) -> ValueError:
    return ValueError(
        f"{checkpoint} is damaged: remove that folder, and the run goes on from the checkpoint before it or begins anew."
    )


def _state(trainer: "Trainer") -> dict[str, Tensor]:
    state = {f"{WEIGHTS}.{name}": parameter.detach() for name, parameter in trainer.trained.items()}
    for name, parameter in trainer.trained.items():
        kept = trainer.optimizer.state.get(parameter, {})
        state |= {f"{kind}.{name}": value for kind, value in kept.items()}
    return {key: value.cpu().contiguous() for key, value in state.items()}


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    try:
        save_file(tensors, path, metadata)  # without another copy of them in memory
    except SafetensorError as error:
        if code := re.search(r"os error (\d+)", str(error)):  # a Windows one as the last argument
            raise OSError(int(code[1]), str(error), str(path), int(code[1])) from error
        raise
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _removed_on_failure(folder: Path):
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
