"""The audio projection: a perceiver resampler that turns the audio features around a frame into 5 tokens."""

from collections.abc import Mapping
from dataclasses import dataclass

import comfy.ops
import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD_WIDTH = 64
MOST_LAYERS = 64  # the released one has 4


@dataclass(frozen=True)
class AudioProjectionConfig:
    """Sizes of the network; the defaults are the released model."""

    features: int = 10  # audio features a frame hears
    feature_width: int = 768
    tokens: int = 5
    token_width: int = 768
    width: int = 768
    heads: int = 12
    layers: int = 4
    expansion: int = 4  # hidden width of the feed-forward over `width`

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> "AudioProjectionConfig":
        """Read the sizes off the weights; where these keys are missing, loading will say so."""
        sized_by = (
            "latents",
            "pos_emb.weight",
            "proj_out.weight",
            "layers.0.0.to_q.weight",
            "layers.0.1.1.weight",
        )
        if any(key not in weights for key in sized_by):
            return cls()
        latents, positions, out, queries, hidden = (weights[key].shape for key in sized_by)
        return cls(
            features=positions[0],
            feature_width=positions[1],
            tokens=latents[-2],
            token_width=out[0],
            width=latents[-1],
            heads=queries[0] // HEAD_WIDTH,
            layers=min(len({key.split(".")[1] for key in weights if key.startswith("layers.")}), MOST_LAYERS),
            expansion=hidden[0] // latents[-1],
        )


class AudioProjection(nn.Module):
    """Learned queries read what a frame hears. Submodules carry the names of the released checkpoint."""

    def __init__(self, config: AudioProjectionConfig, dtype=None, device=None, operations=None):
        super().__init__()
        factory = dict(dtype=dtype, device=device)
        width = config.width
        self.config = config
        self.latents = nn.Parameter(torch.empty(1, config.tokens, width, **factory))
        self.pos_emb = operations.Embedding(config.features, config.feature_width, **factory)
        self.proj_in = operations.Linear(config.feature_width, width, **factory)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PerceiverAttention(width, config.heads, operations=operations, **factory),
                    feed_forward(width, config.expansion, operations=operations, **factory),
                ]
            )
            for _ in range(config.layers)
        )
        self.proj_out = operations.Linear(width, config.token_width, **factory)
        self.norm_out = operations.LayerNorm(config.token_width, **factory)

    def forward(self, features: Tensor) -> Tensor:
        """
        features: (F, 10, A) audio features around each frame
        returns:  (F, T, A)  audio tokens of each frame
        """
        positions = self.pos_emb(torch.arange(self.config.features, device=features.device))
        features = self.proj_in(features + positions.to(features))
        tokens = comfy.ops.cast_to_input(self.latents, features).expand(len(features), -1, -1)
        for attention, feed in self.layers:
            tokens = tokens + attention(features, tokens)
            tokens = tokens + feed(tokens)
        return self.norm_out(self.proj_out(tokens))


class PerceiverAttention(nn.Module):
    """Tokens look at the features and at each other."""

    def __init__(self, width: int, heads: int, dtype=None, device=None, operations=None):
        super().__init__()
        factory = dict(dtype=dtype, device=device)
        inner = heads * HEAD_WIDTH
        self.heads = heads
        self.norm1 = operations.LayerNorm(width, **factory)
        self.norm2 = operations.LayerNorm(width, **factory)
        self.to_q = operations.Linear(width, inner, bias=False, **factory)
        self.to_kv = operations.Linear(width, 2 * inner, bias=False, **factory)
        self.to_out = operations.Linear(inner, width, bias=False, **factory)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """
        features: (F, 10, C)
        tokens:   (F, T, C)
        """
        features, tokens = self.norm1(features), self.norm2(tokens)
        q = self.to_q(tokens)
        k, v = self.to_kv(torch.cat([features, tokens], dim=1)).chunk(2, dim=-1)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2).float() for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v)  # softmax in float32, as trained
        return self.to_out(out.transpose(1, 2).flatten(2).to(tokens))


def feed_forward(width: int, expansion: int, dtype=None, device=None, operations=None) -> nn.Sequential:
    factory = dict(dtype=dtype, device=device)
    return nn.Sequential(
        operations.LayerNorm(width, **factory),
        operations.Linear(width, expansion * width, bias=False, **factory),
        nn.GELU(),
        operations.Linear(expansion * width, width, bias=False, **factory),
    )
