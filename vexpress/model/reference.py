"""The portrait's side: ReferenceNet, which reads it once, and the attention that looks at what it read."""

import torch
from comfy.ldm.modules.attention import CrossAttention
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import Tensor, nn

Block = tuple[
    str, int
]  # a place in the UNet as ComfyUI names it: ("input", 4), ("middle", 0), ("output", 11)
ReferenceFeatures = dict[Block, Tensor]  # (1, L, C) per transformer block


class ReferenceNet(UNetModel):
    """An SD 1.5 UNet without its output layers: only what its transformer blocks see is of use."""

    def __init__(self, **config):
        super().__init__(**config)
        self.out = nn.Identity()

    def reference_features(self, latents: Tensor) -> ReferenceFeatures:
        """Collect what enters each cross-attention, at timestep 0 and with nothing to attend to (SPEC 4).

        latents: (B, 4, h, w) the portrait, scaled as the UNet expects
        """
        features: ReferenceFeatures = {}

        def capture(hidden: Tensor, context: Tensor, value: Tensor, options: dict):
            features[options["block"]] = hidden
            return hidden, context, value

        width = self.input_blocks[1][1].transformer_blocks[0].attn2.to_k.in_features
        nothing = latents.new_zeros(len(latents), 1, width)
        self(
            latents,
            latents.new_zeros(1),
            nothing,
            transformer_options={"patches": {"attn2_patch": [capture]}},
        )
        return features


class ReferenceAttention(nn.Module):
    """Attention from a frame to the reference features of the same block. Carries the checkpoint's names."""

    def __init__(self, width: int, heads: int, dtype=None, device=None, operations=nn):
        super().__init__()
        self.norm1_5 = operations.LayerNorm(width, dtype=dtype, device=device)
        factory = dict(dtype=dtype, device=device, operations=operations)
        self.attn1_5 = CrossAttention(width, heads=heads, dim_head=width // heads, **factory)

    def forward(self, x: Tensor, reference: Tensor | None, transformer_options: dict) -> Tensor:
        """
        x:         (F, L, C) frames of one cond
        reference: (1, L, C) what ReferenceNet saw here, or None where the portrait is withheld
        returns:   (F, L, C), or (1, 1, C) without a portrait: attention to zeros is the output bias
        """
        if reference is None:
            return self.attn1_5.to_out(x.new_zeros(1, 1, x.shape[2]))
        queries = self.norm1_5(x).flatten(0, 1)[
            None
        ]  # (F, L, C) -> (1, F*L, C): all frames share one K and V
        return self.attn1_5(queries, context=reference, transformer_options=transformer_options).view_as(x)


def attend(
    attention: ReferenceAttention, x: Tensor, references: list[Tensor | None], options: dict
) -> Tensor:
    """Give each cond's frames their own portrait. x: (B*F, L, C); one reference per cond"""
    chunks = x.chunk(len(references))
    outputs = [attention(c, r, options).expand_as(c) for c, r in zip(chunks, references, strict=True)]
    return torch.cat(outputs)
