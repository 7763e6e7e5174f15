"""wav2vec2 in little memory: transformers' own convolutions need 16 MB for each second of voice."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SAMPLES_AT_ONCE = 160_000  # 10 seconds
FEATURES_PER_SECOND = 50
WINDOW = 60 * FEATURES_PER_SECOND  # features that the transformer hears at once, if not all
CONTEXT = 5 * FEATURES_PER_SECOND  # of them, heard on either side and then dropped


class Wav2Vec2(nn.Module):
    """transformers' network under a module of our own, because ComfyUI notes the device on it."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, waveform: Tensor, windowed: bool = False) -> Tensor:
        """
        waveform: (B, N) samples at 16 kHz
        windowed: every feature attends to those of its window only, approximately what it does in the whole voice
        returns:  (B, S, A) one feature every 20 ms
        """
        features = self.network.feature_extractor(waveform).transpose(1, 2)  # (B, C, S) -> (B, S, C)
        spans = windows(features.shape[1], windowed)
        return torch.cat([self._transform(features[:, heard])[:, kept] for heard, kept in spans], dim=1)

    def _transform(self, features: Tensor) -> Tensor:
        hidden, _ = self.network.feature_projection(features)
        return self.network.encoder(hidden).last_hidden_state


class Window(NamedTuple):
    """Features that the transformer hears at once, and those of them whose result is kept."""

    heard: slice
    kept: slice


def windows(count: int, windowed: bool) -> list[Window]:
    """Windows that keep each of `count` features once, with CONTEXT heard around it where there is any."""
    if not windowed or count <= WINDOW:
        return [Window(slice(0, count), slice(0, count))]
    step, found = WINDOW - 2 * CONTEXT, []
    for start in range(0, count, step):
        first = min(max(start - CONTEXT, 0), count - WINDOW)
        kept = slice(start - first, min(start + step, count) - first)
        found.append(Window(slice(first, first + WINDOW), kept))
    return found


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


def outputs(samples: int, field: int, stride: int) -> int:
    return (samples - field) // stride + 1


def pieces(voice: Tensor, field: int, stride: int) -> Iterator[Tensor]:
    """Overlapping pieces whose convolutions, one after the other, are the convolution of the voice.

    voice: (1, 1, N)
    """
    count, at_once = outputs(voice.shape[-1], field, stride), SAMPLES_AT_ONCE // stride
    for start in range(0, count, at_once):
        stop = min(start + at_once, count)
        yield voice[..., start * stride : (stop - 1) * stride + field]
