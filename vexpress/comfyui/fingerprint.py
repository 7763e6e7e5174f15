"""Whether two renders are the same job, also after ComfyUI was started anew."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from enum import Enum
from fractions import Fraction
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType

import av
import torch
from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

ROWS_AT_ONCE = 1 << 12
SCALARS = (type(None), bool, int, float, complex, Fraction, str, bytes, Enum, torch.dtype, torch.device)
HOOK_STRENGTH = "_strength_model", "_strength_clip"  # what else is private in a hook changes while it works


def fingerprint(*values: object) -> str:
    """Equal for equal settings, tensors, conditions and patched models; 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for part in _parts((av.__version__, torch.__version__, *values), ()):
        digest.update(part)
    return digest.hexdigest()


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


def _parts(value: object, above: tuple[int, ...]) -> Iterable[bytes]:
    """Whatever tells a value from another one; above: ids of what it lies in, for a value may contain itself."""
    kind = type(value)
    yield f"{kind.__module__}.{kind.__qualname__}:".encode()
    if id(value) in above:
        return
    above = (*above, id(value))
    if isinstance(value, SCALARS):
        yield repr(value).encode()
    elif isinstance(value, Tensor):
        yield from _tensor_parts(value)
    elif isinstance(value, nn.Module):
        if not isinstance(value, BaseModel) and not hasattr(
            value, "_orig_mod"
        ):  # the model itself, or compiled
            yield from (base.__qualname__.encode() for base in kind.__mro__)
            yield from _parts(value.state_dict(), above)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield from _parts(key, above)
            yield from _parts(value[key], above)
    elif isinstance(value, (set, frozenset)):
        yield from _parts(sorted(value, key=repr), above)
    elif isinstance(value, (list, tuple)):
        yield str(len(value)).encode()
        for element in value:
            yield from _parts(element, above)
    elif isinstance(value, MethodType):
        yield from _parts((value.__func__, value.__self__), above)
    elif isinstance(value, partial):
        yield from _parts((value.func, value.args, value.keywords), above)
    elif isinstance(value, FunctionType):
        captured = [cell.cell_contents for cell in value.__closure__ or ()]
        yield f"{value.__module__}.{value.__qualname__}".encode()
        yield from _parts((value.__defaults__, captured), above)
    elif isinstance(value, (type, BuiltinFunctionType)):
        yield f"{value.__module__}.{value.__qualname__}".encode()
    elif not isinstance(value, ModelPatcher):
        attributes = getattr(value, "__dict__", {})
        public = {k: v for k, v in attributes.items() if not k.startswith("_") or k in HOOK_STRENGTH}
        yield from _parts(public, above)


def _tensor_parts(tensor: Tensor) -> Iterable[bytes]:
    yield f"{tensor.dtype} {tuple(tensor.shape)}".encode()
    once = tensor.detach()[tuple(slice(1) if stride == 0 else slice(None) for stride in tensor.stride())]
    rows = once[None] if once.dim() == 0 else once
    for some in rows.split(ROWS_AT_ONCE):
        flat = some.cpu().clone(memory_format=torch.contiguous_format).view(-1)
        yield flat.view(torch.uint8).numpy()
