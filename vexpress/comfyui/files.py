"""Reading checkpoint files, with errors that say which file and what to do."""

import os
import pickle
from pathlib import Path

import comfy.utils
from torch import Tensor

from ..untrusted import check_safetensors, check_tensor, read_pickle

SAFETENSORS = (".safetensors", ".sft")


class _LeftOut:
    """Stands in for what old checkpoints hold besides weights, of the training that made them."""

    def __init__(self, *_):
        pass

    def __setstate__(self, state: object) -> None:
        pass


BESIDE_WEIGHTS = [
    (_LeftOut, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
    (_LeftOut, "numpy.core.multiarray.scalar"),
    (_LeftOut, "numpy.dtype"),
    (_LeftOut, "_codecs.encode"),
]


def load_checkpoint(path: str) -> dict[str, Tensor]:
    """Tensors of a .safetensors, .bin or .pth file by key; nothing in the file is executed."""
    name = os.path.basename(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{name} is not at {path}.")
    try:
        content = _load(path)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{name} holds more than tensors, or is no weights file, and was not read."
        ) from error
    except Exception as error:  # safetensors, zipfile and torch each have their own
        raise ValueError(f"{name} is damaged, cut short or no weights file: download it again.") from error
    return _tensors(content, name)


def _load(path: str) -> object:
    if not path.lower().endswith(SAFETENSORS):
        return read_pickle(Path(path), BESIDE_WEIGHTS)
    check_safetensors(Path(path))
    return comfy.utils.load_torch_file(path)


def _tensors(content: object, name: str) -> dict[str, Tensor]:
    state_dict = _state_dict(content)
    if not isinstance(state_dict, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state_dict.items()
    ):
        raise ValueError(f"{name} holds more than tensors by name, so it is no weights file.")
    if not state_dict:
        raise ValueError(f"{name} holds no weights.")
    for key, tensor in state_dict.items():
        try:
            check_tensor(key, tensor)
        except ValueError as error:
            raise ValueError(f"{name} is no weights file: {error}") from error
    return state_dict


def _state_dict(content: object) -> object:
    """Where trainers put the weights: under this name, or in all that there is."""
    if isinstance(content, dict):
        inner = content.get("state_dict", next(iter(content.values())) if len(content) == 1 else None)
        return inner if isinstance(inner, dict) else content
    return content
