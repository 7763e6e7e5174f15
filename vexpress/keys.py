"""Putting weights into modules: every weight has a place and every place a weight."""

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
    return shapes


def _first_three(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
