import json

import pytest
import torch
from golden_weights import GOLDEN, golden_state_dict
from pack.vexpress.tiny import rule_built_weights, sinusoid

CHECKS = json.loads((GOLDEN / "weights.json").read_text())["checks"]


@pytest.mark.parametrize("namespace", CHECKS)
def test_weights_are_the_golden_ones(namespace):
    weights = golden_state_dict(namespace)
    total = sum(weight.abs().sum(dtype=torch.float64).item() for weight in weights.values())
    assert total == pytest.approx(CHECKS[namespace]["abs_sum"], rel=1e-6)
    for key, first in CHECKS[namespace]["first"].items():
        assert weights[key].flatten()[:3].tolist() == pytest.approx(first, rel=1e-6, abs=1e-7)


def test_motion_weights_are_the_same_in_either_file():
    shapes = {"mid_block.motion_modules.0.temporal_transformer.proj_in.weight": [4, 4]}
    (in_unet,) = rule_built_weights("denoising_unet", shapes).values()
    (in_motion,) = rule_built_weights("motion_module", shapes).values()
    assert torch.equal(in_unet, in_motion)


def test_position_zero_is_sine_zero_and_cosine_one():
    assert sinusoid(3, 4)[0].tolist() == [0, 1, 0, 1]
    assert sinusoid(3, 4)[2].tolist() == pytest.approx(
        [0.9092974, -0.4161468, 0.0199987, 0.9998000], abs=1e-6
    )
