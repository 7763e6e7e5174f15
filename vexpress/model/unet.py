"""The denoising UNet: ComfyUI's SD 1.5 UNet, with V-Express's parts hung onto its own patch points."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, UNetModel
from torch import Tensor, nn

from ..config import UNetConfig
from .guider import VKpsGuider
from .motion import MotionModule
from .reference import Block, ReferenceAttention, ReferenceFeatures, attend
from .silence import gather, spread


class AttentionWeights(NamedTuple):
    """How strongly the portrait and the voice are added in each transformer block."""

    reference: float = 0.95
    audio: float = 3.0


class Width(int):
    """An absolute width where UNetModel expects a multiple of the first: 96 stays 96 above a base of 64."""

    def __mul__(self, base: int) -> int:
        return int(self)

    __rmul__ = __mul__


def unet_arguments(config: UNetConfig) -> dict:
    """`UNetModel`'s arguments for these sizes, in the form in which ComfyUI keeps a `unet_config`."""
    depth = [int(has) for has in config.attention for _ in range(config.layers)]
    depth_output = [int(has) for has in config.attention for _ in range(config.layers + 1)]
    return dict(
        image_size=32,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        model_channels=config.channels[0],
        channel_mult=[Width(width) for width in config.channels],
        num_res_blocks=[config.layers] * len(config.channels),
        transformer_depth=depth,
        transformer_depth_output=depth_output,
        transformer_depth_middle=1,
        context_dim=config.context_width,
        use_spatial_transformer=True,
        use_linear_in_transformer=False,
        use_temporal_attention=False,
        adm_in_channels=None,
        legacy=False,
        num_heads=config.heads,
        num_head_channels=-1,
    )


class VExpressUNet(UNetModel):
    """Denoises the frames of context windows under a portrait, a voice and V-Kps.

    The SD 1.5 part keeps ComfyUI's own layout, so LoRAs and model patches find it. The rest are side modules, one
    per block, named `input_1`, `middle_0`, `output_11`, …
    """

    def __init__(
        self,
        guider_channels: tuple[int, ...],
        max_frames: int,
        dtype=None,
        device=None,
        operations=nn,
        **unet,
    ):
        super().__init__(dtype=dtype, device=device, operations=operations, **unet)
        self.max_frames = max_frames
        factory = dict(dtype=dtype, device=device, operations=operations)
        self.names: dict[Block, str] = {}
        self.reference_attention = nn.ModuleDict()
        self.motion_modules = nn.ModuleDict()
        for block, layers in self._blocks():
            self._add_side_modules(block, layers, factory)
        self.v_kps_guider = VKpsGuider(guider_channels, self.model_channels, **factory)

    def _blocks(self) -> list[tuple[Block, nn.Sequential]]:
        inputs = [(("input", i), layers) for i, layers in enumerate(self.input_blocks)]
        outputs = [(("output", i), layers) for i, layers in enumerate(self.output_blocks)]
        return [*inputs, (("middle", 0), self.middle_block), *outputs]

    def _add_side_modules(self, block: Block, layers: nn.Sequential, factory: dict) -> None:
        name = self.names[block] = f"{block[0]}_{block[1]}"
        resnets = [layer for layer in layers if isinstance(layer, ResBlock)]
        transformers = [layer for layer in layers if isinstance(layer, SpatialTransformer)]
        if resnets:
            self.motion_modules[name] = MotionModule(resnets[0].out_channels, self.num_heads, **factory)
        for transformer in transformers:
            self.reference_attention[name] = ReferenceAttention(
                transformer.in_channels, self.num_heads, **factory
            )

    def _forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        control: dict | None = None,
        transformer_options: dict = {},  # noqa: B006 as in UNetModel
        *,
        reference: Sequence[ReferenceFeatures | None],
        kps_images: Sequence[Tensor | None],
        voices: Sequence[bool],
        weights: AttentionWeights,
        **kwargs,
    ) -> Tensor:
        """
        x:          (B*F, 4, h, w) latents of B conds' windows
        context:    (B*F, T, A) audio tokens
        reference:  per cond, the features of its portrait, or None
        kps_images: per cond, (F, 3, H, W) uint8 drawn V-Kps ((1, 3, H, W) if all are alike), or None
        voices:     per cond, whether any of its audio tokens is not zero
        """
        conds = len(reference)
        num_frames = x.shape[0] // conds
        if num_frames > self.max_frames:
            raise ValueError(
                f"{num_frames} frames in one context window: the motion modules know {self.max_frames} positions. "
                "Set a shorter length with V-Express Context."
            )

        def add_kps(h: Tensor, options: dict) -> Tensor:
            return self._add_kps(h, kps_images) if options["block"] == ("input", 0) else h

        def attend_to_reference(h: Tensor, options: dict) -> Tensor:
            block = options["block"]
            maps = [None if features is None else features[block] for features in reference]
            attention = self.reference_attention[self.names[block]]
            return h + weights.reference * attend(attention, h, maps, transformer_options)

        skip_silence = not all(voices) and not attn2_is_patched(transformer_options)

        def leave_out_silence(h: Tensor, context: Tensor, value: Tensor, options: dict) -> tuple:
            return tuple(gather(x, voices) for x in (h, context, value))

        def scale_audio(h: Tensor, options: dict) -> Tensor:
            h = h * weights.audio
            return spread(h, voices, num_frames) if skip_silence else h

        def move(h: Tensor, options: dict) -> Tensor:
            return self.motion_modules[self.names[options["block"]]](h, num_frames, options)

        def after_transformer(layer, h, emb, audio, options, *_) -> Tensor:
            return move(layer(h, audio, options), options)

        def after_resnet(layer, h, emb, audio, options, *_) -> Tensor:
            h = layer(h, emb)
            transformer_follows = self.names[options["block"]] in self.reference_attention
            return h if transformer_follows else move(h, options)

        ours = {
            "input_block_patch": [add_kps],
            "middle_patch": [attend_to_reference],
            "attn2_patch": [leave_out_silence] if skip_silence else [],
            "attn2_output_patch": [scale_audio],
            "forward_timestep_embed_patch": [
                (SpatialTransformer, after_transformer),
                (ResBlock, after_resnet),
            ],
        }
        patches = dict(transformer_options.get("patches", {}))
        for name, closures in ours.items():
            patches[name] = closures + patches.get(name, [])
        options = {**transformer_options, "patches": patches}
        return super()._forward(x, timesteps, context, y, control, options, **kwargs)

    def _add_kps(self, h: Tensor, kps_images: Sequence[Tensor | None]) -> Tensor:
        chunks = list(h.chunk(len(kps_images)))
        for i, images in enumerate(kps_images):
            if images is not None:
                chunks[i] = chunks[i] + self.v_kps_guider(images.to(h) / 255)
        return torch.cat(chunks)


def attn2_is_patched(transformer_options: dict) -> bool:
    """Whether somebody else's patch sees audio attention's inputs, and may count the conds in them."""
    replaced = transformer_options.get("patches_replace", {}).get("attn2")
    return bool(replaced or transformer_options.get("patches", {}).get("attn2_patch"))
