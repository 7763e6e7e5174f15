"""wav2vec2's convolutions in little memory: transformers' own need 16 MB for each second of voice."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SAMPLES_AT_ONCE = 160_000  # 10 seconds


class PiecewiseConvolutions(nn.Module):
    """Takes the place of transformers' feature extractor; the result is that of convolving the voice as a whole."""

    def __init__(self, conv_layers: nn.ModuleList):
        super().__init__()
        self.conv_layers = conv_layers

    def forward(self, waveform: Tensor) -> Tensor:
        """
        waveform: (B, N) samples at 16 kHz
        returns:  (B, C, S) one feature every 20 ms
        """
        return torch.cat([self._convolve(voice[None, None]) for voice in waveform])

    def _convolve(self, voice: Tensor) -> Tensor:
        first, *others = self.conv_layers
        over_time = isinstance(getattr(first, "layer_norm", None), nn.GroupNorm)
        statistics = channel_statistics(first.conv, voice) if over_time else None
        features = []
        for piece in pieces(voice, *receptive_field(self.conv_layers)):
            hidden = normalised(first, piece, *statistics) if over_time else first(piece)
            for layer in others:
                hidden = layer(hidden)
            features.append(hidden)
        return torch.cat(features, dim=-1)


def normalised(layer: nn.Module, piece: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    """The first layer on a piece of the voice, normalised as if it saw the whole."""
    norm = layer.layer_norm
    hidden = F.batch_norm(layer.conv(piece), mean, var, norm.weight, norm.bias, eps=norm.eps)
    return layer.activation(hidden)


def channel_statistics(conv: nn.Conv1d, voice: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance over time of what a convolution makes of the voice, each (C,) (Chan et al., 1979).

    voice: (1, 1, N)
    """
    count, mean, spread = 0, 0.0, 0.0
    for piece in pieces(voice, *receptive_field([conv])):
        hidden = conv(piece)[0]
        size, step = hidden.shape[-1], hidden.mean(dim=-1) - mean
        spread = spread + size * hidden.var(dim=-1, correction=0) + step**2 * (count * size / (count + size))
        mean = mean + step * (size / (count + size))
        count += size
    return mean, spread / count


def receptive_field(layers) -> tuple[int, int]:
    """Samples that one output of these convolutions sees, and from one output to the next."""
    field, stride = 1, 1
    for layer in layers:
        conv = getattr(layer, "conv", layer)
        field += (conv.kernel_size[0] - 1) * stride
        stride *= conv.stride[0]
    return field, stride


def pieces(voice: Tensor, field: int, stride: int) -> Iterator[Tensor]:
    """Overlapping pieces whose convolutions, one after the other, are the convolution of the voice.

    voice: (1, 1, N)
    """
    outputs = (voice.shape[-1] - field) // stride + 1
    at_once = SAMPLES_AT_ONCE // stride
    for start in range(0, outputs, at_once):
        stop = min(start + at_once, outputs)
        yield voice[..., start * stride : (stop - 1) * stride + field]
