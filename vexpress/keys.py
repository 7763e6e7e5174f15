"""Putting weights into modules: every weight has a place and every place a weight."""

from torch import Tensor, nn


def load_weights(module: nn.Module, state_dict: dict[str, Tensor], source: str) -> None:
    """Fill `module` from `state_dict`, or raise naming `source` and three keys of each kind that do not fit."""
    places = module.state_dict()
    faults = {
        "missing": [key for key in places if key not in state_dict],
        "unknown": [key for key in state_dict if key not in places],
        "of another shape": [
            f"{key} {list(state_dict[key].shape)} instead of {list(place.shape)}"
            for key, place in places.items()
            if key in state_dict and state_dict[key].shape != place.shape
        ],
    }
    if any(faults.values()):
        listed = "; ".join(
            f"{len(keys)} {kind}: {_first_three(keys)}" for kind, keys in faults.items() if keys
        )
        raise ValueError(f"{source} does not fit {type(module).__name__} ({listed}).")
    module.load_state_dict(state_dict, assign=True)


def _first_three(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
