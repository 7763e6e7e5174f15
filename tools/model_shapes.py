"""The released files' keys and shapes, at any width, for networks that stand in for them."""

import itertools
from typing import NamedTuple

from torch import Tensor

from ..vexpress.tiny import rule_built_weights

Shapes = dict[str, list[int]]


class Sizes(NamedTuple):
    """The defaults are the released model's."""

    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    audio_width: int = 768
    guider: tuple[int, ...] = (16, 32, 96, 256)
    wav2vec2_conv: int = 512
    wav2vec2_layers: int = 12
    wav2vec2_heads: int = 12
    wav2vec2_feed_forward: int = 3072
    vae: tuple[int, ...] = (128, 256, 512, 512)
    layers: int = 2  # per down block of a UNet; an up block has one more
    projection_heads: int = 12


TINY = Sizes((32, 32, 32, 64), 32, (8, 8, 16, 24), 16, 3, 4, 64)
TALKER = Sizes((32, 64, 64, 64), 32, (8, 8, 16, 32), 32, 2, 4, 64, layers=1, projection_heads=4)


def rule_built(part: str, sizes: Sizes) -> dict[str, Tensor]:
    """Weights for the part that a function below names."""
    return rule_built_weights(part, globals()[part](sizes))


def denoising_unet(sizes: Sizes) -> Shapes:
    norm_out = _norm("conv_norm_out", sizes.channels[0])
    return _unet(sizes, ("attn1", "attn1_5", "attn2"), ("norm1", "norm1_5", "norm2", "norm3")) | norm_out


def reference_net(sizes: Sizes) -> Shapes:
    return _unet(sizes, ("attn1", "attn2"), ("norm1", "norm2", "norm3"))


def motion_module(sizes: Sizes) -> Shapes:
    *levels, deepest = sizes.channels
    blocks = {f"down_blocks.{i}": (sizes.layers, c) for i, c in enumerate(sizes.channels)}
    blocks |= {f"up_blocks.{i}": (sizes.layers + 1, c) for i, c in enumerate([deepest, *reversed(levels)])}
    blocks["mid_block"] = (1, deepest)
    return _joined(
        _motion_module(f"{block}.motion_modules.{i}.temporal_transformer", channels)
        for block, (number, channels) in blocks.items()
        for i in range(number)
    )


def v_kps_guider(sizes: Sizes) -> Shapes:
    widths = sizes.guider
    shapes = _conv("conv_in", 3, widths[0]) | _conv("conv_out", widths[-1], sizes.channels[0])
    for i, (narrow, wide) in enumerate(zip(widths, widths[1:], strict=False)):
        shapes |= _conv(f"blocks.{2 * i}", narrow, narrow) | _conv(f"blocks.{2 * i + 1}", narrow, wide)
    return shapes


def audio_projection(sizes: Sizes) -> Shapes:
    width, inner = sizes.audio_width, sizes.projection_heads * 64
    shapes = {"latents": [1, 5, width], "pos_emb.weight": [10, width]} | _norm("norm_out", width)
    for i in range(4):
        attention, feed_forward = f"layers.{i}.0", f"layers.{i}.1"
        shapes |= _norm(f"{attention}.norm1", width) | _norm(f"{attention}.norm2", width)
        shapes[f"{attention}.to_q.weight"] = [inner, width]
        shapes[f"{attention}.to_kv.weight"] = [2 * inner, width]
        shapes[f"{attention}.to_out.weight"] = [width, inner]
        shapes |= _norm(f"{feed_forward}.0", width)
        shapes[f"{feed_forward}.1.weight"] = [4 * width, width]
        shapes[f"{feed_forward}.3.weight"] = [width, 4 * width]
    return shapes | _linear("proj_in", width, width) | _linear("proj_out", width, width)


def wav2vec2(sizes: Sizes) -> Shapes:
    """In the names of transformers, where the weight-normed convolution has `original0` and `original1`."""
    width, conv = sizes.audio_width, sizes.wav2vec2_conv
    shapes = {"masked_spec_embed": [width]}
    for i, kernel in enumerate(WAV2VEC2_KERNELS):
        shapes[f"feature_extractor.conv_layers.{i}.conv.weight"] = [conv, conv if i else 1, kernel]
    shapes |= _norm("feature_extractor.conv_layers.0.layer_norm", conv)
    shapes |= _norm("feature_projection.layer_norm", conv) | _linear(
        "feature_projection.projection", conv, width
    )
    position = "encoder.pos_conv_embed.conv"
    shapes[f"{position}.bias"] = [width]
    shapes[f"{position}.parametrizations.weight.original0"] = [1, 1, 128]
    shapes[f"{position}.parametrizations.weight.original1"] = [width, width // 16, 128]
    shapes |= _norm("encoder.layer_norm", width)
    for i in range(sizes.wav2vec2_layers):
        shapes |= _wav2vec2_layer(f"encoder.layers.{i}", width, sizes.wav2vec2_feed_forward)
    return shapes


WAV2VEC2_KERNELS = [10, 3, 3, 3, 3, 2, 2]


def wav2vec2_config(sizes: Sizes) -> dict:
    """The hub's config.json, as far as it tells one size from another."""
    return {
        "model_type": "wav2vec2",
        "hidden_size": sizes.audio_width,
        "num_hidden_layers": sizes.wav2vec2_layers,
        "num_attention_heads": sizes.wav2vec2_heads,
        "intermediate_size": sizes.wav2vec2_feed_forward,
        "conv_dim": [sizes.wav2vec2_conv] * len(WAV2VEC2_KERNELS),
        "conv_kernel": WAV2VEC2_KERNELS,
        "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "conv_bias": False,
        "feat_extract_norm": "group",
        "do_stable_layer_norm": False,
        "num_conv_pos_embeddings": 128,
        "num_conv_pos_embedding_groups": 16,
    }


def vae(sizes: Sizes) -> Shapes:
    """Stable Diffusion 1.5's, in the names of diffusers."""
    first, *_, deepest = widths = sizes.vae
    shapes = _conv("quant_conv", 8, 8, kernel=1) | _conv("post_quant_conv", 4, 4, kernel=1)
    shapes |= _conv("encoder.conv_in", 3, first) | _conv("encoder.conv_out", deepest, 8)
    shapes |= _conv("decoder.conv_in", 4, deepest) | _conv("decoder.conv_out", first, 3)
    shapes |= _norm("encoder.conv_norm_out", deepest) | _norm("decoder.conv_norm_out", first)
    for side, levels, sampler, layers in (
        ("encoder", widths, "down", 2),
        ("decoder", widths[::-1], "up", 3),
    ):
        before = levels[0]
        for i, width in enumerate(levels):
            block = f"{side}.{sampler}_blocks.{i}"
            for j in range(layers):
                shapes |= _resnet(f"{block}.resnets.{j}", before, width)
                before = width
            last = i == len(levels) - 1
            shapes |= {} if last else _conv(f"{block}.{sampler}samplers.0.conv", width, width)
        middle = f"{side}.mid_block"
        for j in range(2):
            shapes |= _resnet(f"{middle}.resnets.{j}", deepest, deepest)
        attention = f"{middle}.attentions.0"
        shapes |= _norm(f"{attention}.group_norm", deepest)
        shapes |= _joined(_linear(f"{attention}.to_{p}", deepest, deepest) for p in ("q", "k", "v", "out.0"))
    return shapes


def taesd() -> Shapes:
    """TAESD's encoder and decoder in one file, as ComfyUI's VAE loader reads it."""
    encoder = ["3>64", "block", *["down", "block", "block", "block"] * 3, "64>4"]
    decoder = ["clamp", "4>64", "relu", *["block", "block", "block", "up", "64>64"] * 3, "block", "64>3"]
    return _sequence("taesd_encoder", encoder) | _sequence("taesd_decoder", decoder)


def ifnet() -> Shapes:
    """RIFE's frame interpolation, which ComfyUI reads at any width."""
    head, channels = 4, 2
    shapes = _conv("encode.cnn0", 3, 16) | _conv("encode.cnn1", 16, 16) | _conv("encode.cnn2", 16, 16)
    shapes |= _transposed("encode.cnn3", 16, head)
    for i in range(5):
        block, inputs = f"blocks.{i}", 2 * head + (20 if i else 7)
        shapes |= _conv(f"{block}.conv0.0.0", inputs, channels // 2)
        shapes |= _conv(f"{block}.conv0.1.0", channels // 2, channels)
        for j in range(8):
            shapes |= _conv(f"{block}.convblock.{j}.conv", channels, channels)
            shapes[f"{block}.convblock.{j}.beta"] = [1, channels, 1, 1]
        shapes |= _transposed(f"{block}.lastconv.0", channels, 4 * 13)
    return shapes


def esrgan() -> Shapes:
    """Real-ESRGAN, which enlarges four times, with one block of 23."""
    channels, growth = 3, 32
    shapes = _conv("conv_first", 3, channels) | _conv("conv_body", channels, channels)
    for dense, i in itertools.product(range(1, 4), range(1, 6)):
        width = growth if i < 5 else channels
        shapes |= _conv(f"body.0.rdb{dense}.conv{i}", channels + (i - 1) * growth, width)
    for name in ("conv_up1", "conv_up2", "conv_hr"):
        shapes |= _conv(name, channels, channels)
    return shapes | _conv("conv_last", channels, 3)


def _transposed(name: str, width_in: int, width: int) -> Shapes:
    return {f"{name}.weight": [width_in, width, 4, 4], f"{name}.bias": [width]}


def _sequence(name: str, layers: list[str]) -> Shapes:
    shapes = {}
    for i, layer in enumerate(layers):
        prefix = f"{name}.{i}"
        if layer == "block":
            shapes |= _joined(_conv(f"{prefix}.conv.{j}", 64, 64) for j in (0, 2, 4))
        elif layer in ("down", "64>64"):
            shapes[f"{prefix}.weight"] = [64, 64, 3, 3]
        elif ">" in layer:
            shapes |= _conv(prefix, *(int(width) for width in layer.split(">")))
    return shapes


def _unet(sizes: Sizes, attentions: tuple[str, ...], norms: tuple[str, ...]) -> Shapes:
    channels, time = sizes.channels, 4 * sizes.channels[0]
    first, deepest = channels[0], channels[-1]

    def transformer(name: str, width: int) -> Shapes:
        return _spatial_transformer(name, width, sizes.audio_width, attentions, norms)

    shapes = _conv("conv_in", 4, first) | _conv("conv_out", first, 4)
    shapes |= _linear("time_embedding.linear_1", first, time) | _linear("time_embedding.linear_2", time, time)
    before, skips = first, [first]
    for i, width in enumerate(channels):
        block, last = f"down_blocks.{i}", i == len(channels) - 1
        for j in range(sizes.layers):
            shapes |= _resnet(f"{block}.resnets.{j}", before, width, time)
            shapes |= {} if last else transformer(f"{block}.attentions.{j}", width)
            before = width
        shapes |= {} if last else _conv(f"{block}.downsamplers.0.conv", width, width)
        skips += [width] * (sizes.layers if last else sizes.layers + 1)
    shapes |= _resnet("mid_block.resnets.0", deepest, deepest, time)
    shapes |= transformer("mid_block.attentions.0", deepest)
    shapes |= _resnet("mid_block.resnets.1", deepest, deepest, time)
    for i, width in enumerate(reversed(channels)):
        block, last = f"up_blocks.{i}", i == len(channels) - 1
        for j in range(sizes.layers + 1):
            shapes |= _resnet(f"{block}.resnets.{j}", before + skips.pop(), width, time)
            shapes |= transformer(f"{block}.attentions.{j}", width) if i else {}
            before = width
        shapes |= {} if last else _conv(f"{block}.upsamplers.0.conv", width, width)
    return shapes


def _resnet(name: str, width_in: int, width: int, time: int | None = None) -> Shapes:
    shapes = _norm(f"{name}.norm1", width_in) | _conv(f"{name}.conv1", width_in, width)
    shapes |= _norm(f"{name}.norm2", width) | _conv(f"{name}.conv2", width, width)
    shapes |= _linear(f"{name}.time_emb_proj", time, width) if time else {}
    return shapes if width_in == width else shapes | _conv(f"{name}.conv_shortcut", width_in, width, kernel=1)


def _spatial_transformer(
    name: str, width: int, audio_width: int, attentions: tuple[str, ...], norms: tuple[str, ...]
) -> Shapes:
    block = f"{name}.transformer_blocks.0"
    shapes = _norm(f"{name}.norm", width) | _conv(f"{name}.proj_in", width, width, kernel=1)
    shapes |= _conv(f"{name}.proj_out", width, width, kernel=1)
    for attention in attentions:
        context = audio_width if attention == "attn2" else width
        shapes |= _attention(f"{block}.{attention}", width, context)
    return shapes | _joined(_norm(f"{block}.{norm}", width) for norm in norms) | _feed_forward(block, width)


def _motion_module(name: str, width: int) -> Shapes:
    block = f"{name}.transformer_blocks.0"
    shapes = _norm(f"{name}.norm", width) | _linear(f"{name}.proj_in", width, width)
    shapes |= _linear(f"{name}.proj_out", width, width)
    for i in range(2):
        attention = f"{block}.attention_blocks.{i}"
        shapes |= _attention(attention, width, width) | _norm(f"{block}.norms.{i}", width)
        shapes[f"{attention}.pos_encoder.pe"] = [1, 32, width]
    return shapes | _norm(f"{block}.ff_norm", width) | _feed_forward(block, width)


def _wav2vec2_layer(name: str, width: int, feed_forward: int) -> Shapes:
    shapes = _joined(_linear(f"{name}.attention.{p}_proj", width, width) for p in ("k", "out", "q", "v"))
    shapes |= _linear(f"{name}.feed_forward.intermediate_dense", width, feed_forward)
    shapes |= _linear(f"{name}.feed_forward.output_dense", feed_forward, width)
    return shapes | _norm(f"{name}.layer_norm", width) | _norm(f"{name}.final_layer_norm", width)


def _attention(name: str, width: int, context: int) -> Shapes:
    keys_and_values = {f"{name}.to_k.weight": [width, context], f"{name}.to_v.weight": [width, context]}
    return (
        {f"{name}.to_q.weight": [width, width]} | keys_and_values | _linear(f"{name}.to_out.0", width, width)
    )


def _feed_forward(block: str, width: int) -> Shapes:
    geglu = _linear(f"{block}.ff.net.0.proj", width, 8 * width)
    return geglu | _linear(f"{block}.ff.net.2", 4 * width, width)


def _conv(name: str, width_in: int, width: int, kernel: int = 3) -> Shapes:
    return {f"{name}.weight": [width, width_in, kernel, kernel], f"{name}.bias": [width]}


def _linear(name: str, width_in: int, width: int) -> Shapes:
    return {f"{name}.weight": [width, width_in], f"{name}.bias": [width]}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def _joined(parts) -> Shapes:
    return {key: shape for part in parts for key, shape in part.items()}
