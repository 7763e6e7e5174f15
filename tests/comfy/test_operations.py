"""Linear layers by oneDNN give what torch's own give."""

import comfy.ops
import pytest
import torch
from pack.vexpress.comfyui import operations
from pack.vexpress.comfyui.operations import linear, pick_operations, with_linear_by_onednn
from torch.nn import functional as F

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 5, 7), (1, 1, 7)])
@pytest.mark.parametrize("biased", [True, False])
def test_a_linear_layer_is_a_convolution_over_one_row(shape, biased):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(4, 7), torch.randn(4) if biased else None
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias))


def test_what_is_cast_or_patched_is_cast_and_patched():
    layer = with_linear_by_onednn(comfy.ops.manual_cast).Linear(7, 4, dtype=torch.float16)
    torch.nn.init.ones_(layer.weight), torch.nn.init.zeros_(layer.bias)
    layer.weight_function = [lambda weight: weight * 2]
    assert layer(torch.ones(3, 7)).tolist() == [[14.0] * 4] * 3


def test_gradients_flow():
    with torch.inference_mode(False):
        x = torch.randn(3, 7, requires_grad=True)
        linear(x, torch.ones(4, 7), None).sum().backward()
    assert x.grad.unique().tolist() == [4.0]


@pytest.mark.parametrize(
    "weights, cast, device, ours",
    [
        (torch.float32, None, CPU, True),
        (torch.float8_e4m3fn, torch.float32, CPU, True),
        (torch.bfloat16, None, CPU, False),
        (torch.float32, torch.float16, CPU, False),
        (torch.float32, None, torch.device("cuda"), False),
    ],
)
def test_they_are_chosen_for_float32_on_the_cpu(weights, cast, device, ours, monkeypatch):
    monkeypatch.setattr(operations, "onednn_convolves", lambda: True)
    picked = pick_operations(weights, cast, device)
    assert (picked.Linear.forward_comfy_cast_weights.__module__ == operations.__name__) == ours
