"""Whether two renders are the same job, also after ComfyUI was started anew."""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType

import av
import numpy as np
import torch
from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
ADDRESS = re.compile(" at 0x[0-9a-fA-F]+")
ROWS_AT_ONCE = 1 << 12
SCALARS = (type(None), bool, int, float, complex, Fraction, str, bytes, Enum, torch.dtype, torch.device)
HOOK_STRENGTH = "_strength_model", "_strength_clip"  # what else is private in a hook changes while it works


def fingerprint(*values: object) -> str:
    """Equal for equal settings, tensors, conditions and patched models; 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for part in _parts((_pack_version(), av.__version__, torch.__version__, *values), (), {}):
        digest.update(part)
    return digest.hexdigest()


def _pack_version() -> str:
    """What an older version has made may be what this one puts right."""
    (version,) = re.findall(r'^version = "(.+)"$', PROJECT.read_text("utf-8"), re.M)
    return version


def model_identity(model: ModelPatcher) -> tuple:
    """The files a MODEL was loaded from and what was done to it since."""
    weights = getattr(model.model, "loaded_from", None) or model.model.state_dict()
    settings = {
        k: v for k, v in model.model_options.items() if k != "context_handler"
    }  # it notes what it runs
    patches = model.patches, model.hook_patches, model.object_patches, model.weight_wrapper_patches, settings
    hung_on = model.wrappers, model.callbacks, model.injections, model.attachments, model.additional_models
    return weights, patches, hung_on, model.load_device.type, model.model.get_dtype_inference()


def vae_identity(vae: object) -> object:
    return getattr(vae, "first_stage_model", None) or type(vae).__qualname__


def file_identity(path: str) -> tuple[str, int, int]:
    """Of a large file: name, size and time instead of what is in it."""
    stat = os.stat(path)
    return os.path.basename(path), stat.st_size, stat.st_mtime_ns


def _parts(value: object, above: tuple[int, ...], seen: dict[int, tuple]) -> Iterable[bytes]:
    """
    Whatever tells a value from another one.

    above: ids of what it lies in, for a value may contain itself
    seen:  by their ids, what many others may hold and is told once: its number, and the object, which keeps its id
    """
    kind = type(value)
    yield f"{kind.__module__}.{kind.__qualname__}:".encode()
    if id(value) in above:
        return
    if id(value) in seen:
        yield str(seen[id(value)][0]).encode()
        return
    above = (*above, id(value))
    if isinstance(value, SCALARS):
        yield repr(value).encode()
    elif isinstance(value, Tensor):
        yield from _tensor_parts(value)
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes()
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield from _parts(key, above, seen)
            yield from _parts(value[key], above, seen)
    elif isinstance(value, (set, frozenset)):
        yield from _parts(sorted(value, key=repr), above, seen)
    elif isinstance(value, (list, tuple)):
        yield str(len(value)).encode()
        for element in value:
            yield from _parts(element, above, seen)
    elif isinstance(value, MethodType):
        yield from _parts((value.__func__, value.__self__), above, seen)
    elif isinstance(value, partial):
        yield from _parts((value.func, value.args, value.keywords), above, seen)
    elif isinstance(value, (type, BuiltinFunctionType)):
        yield f"{value.__module__}.{value.__qualname__}".encode()
    elif isinstance(value, (ModuleType, logging.Logger)):
        yield str(getattr(value, "__name__", None) or value.name).encode()
    else:
        seen[id(value)] = len(seen), value
        yield from _object_parts(value, above, seen)


def _object_parts(value: object, above: tuple[int, ...], seen: dict[int, tuple]) -> Iterable[bytes]:
    if isinstance(value, nn.Module):
        if not isinstance(value, BaseModel) and not hasattr(
            value, "_orig_mod"
        ):  # the model itself, or compiled
            yield from (base.__qualname__.encode() for base in type(value).__mro__)
            yield from _parts(value.state_dict(), above, seen)
    elif isinstance(value, FunctionType):
        yield f"{value.__module__}.{value.__qualname__}".encode()
        captured = [_content(cell) for cell in value.__closure__ or ()]
        yield from _parts((value.__defaults__, captured), above, seen)
    elif isinstance(value, ModelPatcher):
        yield from _parts((getattr(value.model, "loaded_from", None), value.patches), above, seen)
    elif hasattr(value, "__dict__"):
        public = {k: v for k, v in vars(value).items() if not k.startswith("_") or k in HOOK_STRENGTH}
        yield from _parts(public, above, seen)
    else:
        yield ADDRESS.sub("", repr(value)).encode()


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return None


def _tensor_parts(tensor: Tensor) -> Iterable[bytes]:
    yield f"{tensor.dtype} {tuple(tensor.shape)}".encode()
    once = tensor.detach()[tuple(slice(1) if stride == 0 else slice(None) for stride in tensor.stride())]
    rows = once[None] if once.dim() == 0 else once
    for some in rows.split(ROWS_AT_ONCE):
        flat = some.cpu().clone(memory_format=torch.contiguous_format).view(-1)
        yield flat.view(torch.uint8).numpy()
