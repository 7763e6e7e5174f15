"""Reading checkpoint files, with errors that say which file and what to do."""

import os
import pickle

import comfy.utils
from torch import Tensor


def load_checkpoint(path: str) -> dict[str, Tensor]:
    """Tensors of a .safetensors, .bin or .pth file by key; nothing in the file is executed."""
    name = os.path.basename(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{name} is not at {path}.")
    try:
        state_dict = comfy.utils.load_torch_file(path, safe_load=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{name} holds more than tensors, or is no weights file, and was not read."
        ) from error
    except Exception as error:  # safetensors, zipfile and torch each have their own
        raise ValueError(f"{name} is damaged, cut short or no weights file: download it again.") from error
    return _tensors(state_dict, name)


def _tensors(state_dict: object, name: str) -> dict[str, Tensor]:
    if isinstance(state_dict, dict) and isinstance(state_dict.get("state_dict"), dict):
        state_dict = state_dict["state_dict"]
    if not isinstance(state_dict, dict) or not all(
        isinstance(value, Tensor) for value in state_dict.values()
    ):
        raise ValueError(f"{name} holds more than tensors by name, so it is no weights file.")
    if not state_dict:
        raise ValueError(f"{name} holds no weights.")
    return state_dict
