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
    places = module.state_dict()  # with dynamic VRAM, ComfyUI's Linear has none before it is loaded
    return [
        f"{key} {list(state_dict[key].shape)} instead of {list(place.shape)}"
        for key, place in places.items()
        if key in state_dict and state_dict[key].shape != place.shape
    ]


def _first_three(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
