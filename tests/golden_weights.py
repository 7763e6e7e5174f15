"""The tiny networks of the golden files, rebuilt by rule: golden/weights.json has the shapes."""

import json
from pathlib import Path

from pack.vexpress.tiny import rule_built_weights
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"


def golden_shapes(namespace: str) -> dict[str, list[int]]:
    return json.loads((GOLDEN / "weights.json").read_text())["shapes"][namespace]


def golden_state_dict(namespace: str, shapes: dict[str, list[int]] | None = None) -> dict[str, Tensor]:
    """Weights of a network by its namespace (see `rule_built_weights`)."""
    return rule_built_weights(namespace, shapes or golden_shapes(namespace))
