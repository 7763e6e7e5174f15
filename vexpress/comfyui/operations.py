"""The layers that networks are built of: ComfyUI's own, with faster linear ones on the CPU."""

import comfy.ops
import torch
from comfy.model_management import is_device_cpu
from torch import Tensor
from torch.nn import functional as F


def pick_operations(weight_dtype: torch.dtype, cast: torch.dtype | None, device: torch.device) -> type:
    """cast: what ComfyUI computes in, None where that is `weight_dtype`"""
    operations = comfy.ops.pick_operations(weight_dtype, cast)
    float32_on_cpu = is_device_cpu(device) and (cast or weight_dtype) == torch.float32
    return with_linear_by_onednn(operations) if float32_on_cpu and onednn_convolves() else operations


def onednn_convolves() -> bool:
    """Whether torch has both libraries, and gives convolutions over a single picture to oneDNN."""
    both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return both and torch.get_num_threads() > 1


def with_linear_by_onednn(operations: type) -> type:
    """torch gives linear layers to MKL, which keeps to AVX2 on AMD; oneDNN, for convolutions, does not: twice as fast."""

    class OneDNN(operations):
        class Linear(operations.Linear):
            comfy_cast_weights = True

            def forward_comfy_cast_weights(self, x: Tensor) -> Tensor:
                weight, bias, stream = comfy.ops.cast_bias_weight(self, x, offloadable=True)
                y = linear(x, weight, bias)
                comfy.ops.uncast_bias_weight(self, weight, bias, stream)
                return y

    return OneDNN


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 1x1 convolution over a picture of one row. x: (…, C); weight: (D, C); returns (…, D)"""
    picture = x.reshape(1, 1, -1, x.shape[-1]).movedim(-1, 1)  # (…, C) -> (1, C, 1, L) without a copy
    y = F.conv2d(picture, weight[:, :, None, None], bias)
    return y.movedim(1, -1).reshape(*x.shape[:-1], -1)
