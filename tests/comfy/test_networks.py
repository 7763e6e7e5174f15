"""Golden parity of each network, fp32 on the CPU."""

import json

import comfy.ops
import pytest
import torch
from models import CASES, NETWORKS, golden, meta_weights, relative_error, tiny_reference_net
from pack.vexpress.comfyui.audio_encoder import build_wav2vec2
from pack.vexpress.comfyui.loader import UNUSED_BY_REFERENCE_NET
from pack.vexpress.comfyui.model import kps_images
from pack.vexpress.comfyui.unet_keys import convert_unet, without_positions
from pack.vexpress.config import UNetConfig, guider_channels, longest_window
from pack.vexpress.kps import Kps
from pack.vexpress.model.audio_projection import AudioProjection, AudioProjectionConfig
from pack.vexpress.model.reference import ReferenceAttention, ReferenceNet
from pack.vexpress.model.unet import AttentionWeights, VExpressUNet, unet_arguments

FORWARD = 2e-5  # relative L2


@pytest.fixture(scope="module")
def reference(checkpoints):
    latents = golden("reference")["latents"]
    with torch.inference_mode():
        return tiny_reference_net(checkpoints).reference_features(latents / 0.18215)


def drawn(frames: int) -> torch.Tensor:
    return kps_images(Kps(golden("v_kps_guider")["kps"][:frames], 128, 128))


def test_reference_features_are_golden(reference, model):
    expected = {key[5:]: value for key, value in golden("reference").items() if key.startswith("bank.")}
    names = comfy.utils.unet_to_diffusers(model.model.model_config.unet_config)
    assert len(reference) == len(expected) == 16
    for key, value in expected.items():
        side, index = names[f"{key}.norm1.weight"].split(".")[:2]
        block = ("middle", 0) if side == "middle_block" else (side.removesuffix("_blocks"), int(index))
        assert relative_error(reference[block], value) < FORWARD, key


def test_the_guider_is_golden(model):
    features = model.model.diffusion_model.v_kps_guider(drawn(3) / 255)
    assert relative_error(features, golden("v_kps_guider")["output"]) < FORWARD


@pytest.mark.parametrize("case", CASES["unet"])
def test_the_denoising_unet_is_golden(case, model, reference):
    settings, tensors = CASES["unet"][case], golden("unet")
    sample, audio = tensors[f"{case}.sample"], tensors[f"{case}.audio_tokens"]
    references, images = [reference], [drawn(settings["frames"])]
    if settings["cfg"]:
        sample, audio = torch.cat([sample, sample]), torch.cat([torch.zeros_like(audio), audio])
        references, images = [None, reference], [None, images[0]]
    weights = AttentionWeights(settings["reference_attention_weight"], settings["audio_attention_weight"])
    output = model.model.diffusion_model(
        sample,
        torch.full((len(sample),), float(settings["t"])),
        audio,
        transformer_options={},
        reference=references,
        kps_images=images,
        voices=[False, True][-len(images) :],
        weights=weights,
    )
    assert relative_error(output, tensors[f"{case}.output"]) < FORWARD


def test_a_withheld_portrait_is_attention_to_zeros():
    torch.manual_seed(0)
    attention = ReferenceAttention(32, 8, operations=comfy.ops.disable_weight_init)
    for weight in attention.parameters():
        torch.nn.init.normal_(weight)
    x = torch.randn(3, 5, 32)
    attended = attention(x, torch.zeros(1, 7, 32), {})
    torch.testing.assert_close(attention(x, None, {}).expand_as(x), attended, rtol=0, atol=1e-6)


def test_a_window_longer_than_the_position_table_is_refused(model, reference):
    frames = 33
    with pytest.raises(ValueError, match="33 frames in one context window.*32 positions"):
        model.model.diffusion_model(
            torch.zeros(frames, 4, 8, 8),
            torch.zeros(frames),
            torch.zeros(frames, 5, 32),
            transformer_options={},
            reference=[reference],
            kps_images=[None],
            voices=[True],
            weights=AttentionWeights(),
        )


def released(part: str) -> dict[str, torch.Tensor]:
    return meta_weights(json.loads((NETWORKS / "released_shapes.json").read_text())[part])


def places(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {key: weight.shape for key, weight in module.state_dict().items()}


def shapes(weights: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {key: weight.shape for key, weight in weights.items()}


def test_every_released_weight_of_the_denoising_model_has_its_place():
    weights, guider = {**released("denoising_unet"), **released("motion_module")}, released("v_kps_guider")
    config = UNetConfig.of(weights)
    assert config == UNetConfig()
    net = VExpressUNet(
        guider_channels(guider),
        longest_window(weights),
        device="meta",
        operations=comfy.ops.manual_cast,
        **unet_arguments(config),
    )
    converted = convert_unet(without_positions(weights, "released"), config)
    converted |= {f"v_kps_guider.{key}": weight for key, weight in guider.items()}
    assert shapes(converted) == places(net)


def test_every_released_weight_of_reference_net_has_its_place():
    weights = {k: w for k, w in released("reference_net").items() if k not in UNUSED_BY_REFERENCE_NET}
    config = UNetConfig.of(weights)
    net = ReferenceNet(device="meta", operations=comfy.ops.manual_cast, **unet_arguments(config))
    assert shapes(convert_unet(weights, config)) == places(net)


def test_every_released_weight_of_the_audio_projection_has_its_place():
    weights = released("audio_projection")
    config = AudioProjectionConfig.of(weights)
    net = AudioProjection(config, device="meta", operations=comfy.ops.manual_cast)
    assert shapes(weights) == places(net)


def test_every_weight_of_wav2vec2_base_has_its_place():
    released_places = shapes(released("wav2vec2"))
    del released_places["masked_spec_embed"]  # only training masks
    assert released_places == places(build_wav2vec2({}))


def test_widths_need_not_be_multiples_of_the_first():
    config = UNetConfig(channels=(64, 96, 128, 96), layers=1, context_width=48)
    operations = comfy.ops.disable_weight_init
    net = VExpressUNet((8, 8, 16, 24), 32, operations=operations, **unet_arguments(config))
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.02)
    output = net(
        torch.zeros(2, 4, 8, 8), torch.zeros(2), torch.zeros(2, 5, 48), transformer_options={}, reference=[None],
        kps_images=[torch.zeros(2, 3, 64, 64, dtype=torch.uint8)], voices=[True], weights=AttentionWeights(),
    )  # fmt: skip
    assert output.shape == (2, 4, 8, 8)
