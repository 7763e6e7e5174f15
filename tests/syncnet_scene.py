"""A voice, and SyncNet's weights made by rule: what the golden numbers of SyncNet were made from."""

import numpy as np
from numpy import ndarray
from pack.vexpress.syncnet import SAMPLE_RATE, SyncNet
from pack.vexpress.tiny import rule_built_weights
from torch import Tensor


def voice(seconds: float) -> ndarray:
    """(N,) int16: a tone that comes and goes, and is silent for a tenth of a second"""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12)) * np.sin(2 * np.pi * 2.3 * t) ** 2
    tone[(t > 0.5) & (t < 0.6)] = 0
    return np.round(tone * 8000).astype(np.int16)


def syncnet_weights() -> dict[str, Tensor]:
    """As syncnet_v2.model holds them, which is older than `num_batches_tracked`."""
    places = SyncNet().state_dict().items()
    shapes = {key: list(place.shape) for key, place in places if not key.endswith("num_batches_tracked")}
    weights = rule_built_weights("syncnet", shapes)
    weights["netfclip.3.weight"] /= 10  # lips as near to 0 as voices
    return {key: 1 + w.abs() if key.endswith("running_var") else w for key, w in weights.items()}
