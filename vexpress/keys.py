"""Putting weights into modules: every weight has a place and every place a weight."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def load_weights(module: nn.Module, state_dict: dict[str, Tensor], source: str, assign: bool = True) -> None:
    """Fill `module` from `state_dict`, or raise naming `source` and three keys of each kind that misfit.

    With `assign` the module takes over the tensors with their dtype, without it only their values.
    """
    misshapen = _misshapen(module, state_dict)
    missing, unknown = [], []
    if not misshapen:
        missing, unknown = module.load_state_dict(state_dict, strict=False, assign=assign)
    faults = {"missing": missing, "unknown": unknown, "of another shape": misshapen}
    _refuse(module, source, faults)


def check_sizes(build: Callable[[], nn.Module], state_dict: dict[str, Tensor], source: str) -> None:
    """Raise where the network whose sizes some weights tell lacks others, before memory is given to it.

    build: makes that network; reading the sizes is a part of it
    """
    try:
        with torch.device("meta"):
            module = build()
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{source} has weights of sizes that make no network: {error}") from error
    shapes, misshapen = _shapes(module), _misshapen(module, state_dict)
    missing = [key for key in shapes if key not in state_dict]
    if missing or misshapen:  # else loading will tell, which knows best
        unknown = [key for key in state_dict if key not in shapes]
        _refuse(module, source, {"missing": missing, "unknown": unknown, "of another shape": misshapen})


def _refuse(module: nn.Module, source: str, faults: dict[str, list[str]]) -> None:
    """If there are any."""
    if any(faults.values()):
        listed = [f"{len(keys)} {kind}: {_first_three(keys)}" for kind, keys in faults.items() if keys]
        raise ValueError(f"{source} does not fit {type(module).__name__} ({'; '.join(listed)}).")


def _misshapen(module: nn.Module, state_dict: dict[str, Tensor]) -> list[str]:
    return [
        f"{key} {list(state_dict[key].shape)} instead of {list(shape)}"
        for key, shape in _shapes(module).items()
        if key in state_dict and tuple(state_dict[key].shape) != shape
    ]


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    shapes = {key: tuple(place.shape) for key, place in module.state_dict().items()}
    for name, layer in module.named_modules():
        if (
            isinstance(layer, nn.Linear) and layer.weight is None
        ):  # with dynamic VRAM, ComfyUI's before it is loaded
            shapes[f"{name}.weight"] = (layer.out_features, layer.in_features)
            if getattr(layer, "comfy_need_lazy_init_bias", False):
                shapes[f"{name}.bias"] = (layer.out_features,)
    return shapes


def _first_three(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
