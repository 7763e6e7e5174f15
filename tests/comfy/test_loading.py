"""The released files in every form they come in, and those that are not what they should be."""

import shutil

import comfy.memory_management
import comfy.ops
import pytest
import torch
from models import CASES, PARTS, golden, golden_state_dict, relative_error, tiny_model, tiny_reference_net
from pack.tools.convert import convert
from pack.vexpress.comfyui.loader import (
    UNUSED_BY_REFERENCE_NET,
    DenoisingFiles,
    LoadedReferenceNet,
    load_denoising_model,
    part_of,
)
from pack.vexpress.comfyui.unet_keys import convert_unet
from pack.vexpress.config import UNetConfig, longest_window
from pack.vexpress.keys import load_weights
from pack.vexpress.model.reference import ReferenceNet
from pack.vexpress.model.unet import AttentionWeights, unet_arguments
from safetensors.torch import load_file, save_file


def weights_of(model) -> dict[str, torch.Tensor]:
    return model.model.diffusion_model.state_dict()


def same_weights(a, b) -> bool:
    a, b = weights_of(a), weights_of(b)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def denoising_files(folder, unet="denoising_unet", motion="motion_module", suffix=".safetensors"):
    names = unet, motion, "v_kps_guider"
    return DenoisingFiles(*(name and str(folder / f"{name}{suffix}") for name in names))


@pytest.mark.parametrize("suffix", [".bin", ".pth"])
def test_pickled_files_load_like_safetensors(suffix, checkpoints, tmp_path, model):
    for part in PARTS:
        torch.save(load_file(checkpoints / f"{part}.safetensors"), tmp_path / f"{part}{suffix}")
    assert same_weights(load_denoising_model(denoising_files(tmp_path, suffix=suffix)), model)


def test_motion_modules_may_lie_in_the_unets_file(checkpoints, tmp_path, model):
    parts = [load_file(checkpoints / f"{part}.safetensors") for part in ("denoising_unet", "motion_module")]
    save_file(parts[0] | parts[1], tmp_path / "denoising_unet.safetensors")
    shutil.copy(checkpoints / "v_kps_guider.safetensors", tmp_path)
    assert same_weights(load_denoising_model(denoising_files(tmp_path, motion=None)), model)


def test_motion_modules_of_their_own_file_come_before_those_in_the_unets(checkpoints, tmp_path, model):
    parts = [load_file(checkpoints / f"{part}.safetensors") for part in ("denoising_unet", "motion_module")]
    stale = {key: weight if key.endswith(".pe") else weight + 1 for key, weight in parts[1].items()}
    save_file(parts[0] | stale, tmp_path / "denoising_unet.safetensors")
    for part in ("motion_module", "v_kps_guider"):
        shutil.copy(checkpoints / f"{part}.safetensors", tmp_path)
    assert same_weights(load_denoising_model(denoising_files(tmp_path)), model)


def test_without_motion_modules_there_is_no_model(checkpoints):
    with pytest.raises(ValueError, match="denoising_unet.safetensors has no motion modules"):
        load_denoising_model(denoising_files(checkpoints, motion=None))


@pytest.mark.parametrize("part", PARTS)
def test_a_file_tells_which_part_it_is(part):
    assert part_of(golden_state_dict(part)) == part


def test_a_denoising_unet_is_no_reference_net(checkpoints):
    with pytest.raises(
        ValueError, match="denoising_unet.safetensors is a denoising_unet.*chosen as reference_net"
    ):
        LoadedReferenceNet(str(checkpoints / "denoising_unet.safetensors"))


def test_a_reference_net_is_no_denoising_unet(checkpoints):
    with pytest.raises(ValueError, match="is a reference_net.*chosen as denoising_unet"):
        load_denoising_model(denoising_files(checkpoints, unet="reference_net"))


def test_weights_that_do_not_fit_are_named(checkpoints, tmp_path):
    weights = load_file(checkpoints / "reference_net.safetensors")
    for key in [key for key in weights if "mid_block.resnets.0" in key][:4]:
        del weights[key]
    weights["another.weight"] = torch.zeros(1)
    path = tmp_path / "reference_net.safetensors"
    save_file(weights, path)
    with pytest.raises(
        ValueError, match=r"reference_net.safetensors.*4 missing: \S+, \S+, \S+, ….*1 unknown: another"
    ):
        LoadedReferenceNet(str(path))


def test_a_unet_without_the_weights_that_tell_its_size_is_named(checkpoints, tmp_path):
    weights = load_file(checkpoints / "reference_net.safetensors")
    del weights["down_blocks.1.resnets.0.conv2.weight"]
    path = tmp_path / "cut.safetensors"
    save_file(weights, path)
    with pytest.raises(ValueError, match="cut.safetensors.*down_blocks.1.resnets.0.conv2.weight"):
        LoadedReferenceNet(str(path))


def test_a_missing_and_a_truncated_file_are_named(checkpoints, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.bin"):
        LoadedReferenceNet(str(tmp_path / "nothing.bin"))
    whole = (checkpoints / "reference_net.safetensors").read_bytes()
    for name in ("cut.safetensors", "cut.bin"):
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            LoadedReferenceNet(str(tmp_path / name))


def test_motion_modules_without_positions_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="no pos_encoder.pe tells how many frames the motion modules know"):
        longest_window({"motion_modules.weight": torch.zeros(1)})


def test_learnt_positions_are_refused_rather_than_ignored(checkpoints, tmp_path):
    motion = load_file(checkpoints / "motion_module.safetensors")
    table = next(key for key in motion if key.endswith(".pe"))
    motion[table] = motion[table] + 0.5
    save_file(motion, tmp_path / "motion_module.safetensors")
    for part in ("denoising_unet", "v_kps_guider"):
        shutil.copy(checkpoints / f"{part}.safetensors", tmp_path)
    with pytest.raises(ValueError, match="pos_encoder.pe is not the sinusoid"):
        load_denoising_model(denoising_files(tmp_path))


def test_converted_files_are_half_as_large_and_load(checkpoints, tmp_path):
    for part in PARTS:
        torch.save(load_file(checkpoints / f"{part}.safetensors"), tmp_path / f"{part}.bin")
        convert(tmp_path / f"{part}.bin", tmp_path / f"{part}.safetensors")
    sizes = [(tmp_path / f"reference_net{suffix}").stat().st_size for suffix in (".bin", ".safetensors")]
    assert 0.45 < sizes[1] / sizes[0] < 0.55
    tiny_model(tmp_path)
    latents = golden("reference")["latents"]
    features = tiny_reference_net(tmp_path).reference_features(latents)
    expected = tiny_reference_net(checkpoints).reference_features(latents)
    assert max(relative_error(features[block], expected[block]) for block in expected) < 0.01


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_fp8_weights_run_and_stay_near(dtype, checkpoints):
    settings, tensors = CASES["unet"]["12_single_w1"], golden("unet")
    reference = tiny_reference_net(checkpoints).reference_features(golden("reference")["latents"] / 0.18215)
    outputs = []
    for weight_dtype in (None, dtype):
        model = tiny_model(checkpoints, weight_dtype=weight_dtype)
        assert model.model.get_dtype_inference() == torch.float32
        output = model.model.diffusion_model(
            tensors["12_single_w1.sample"],
            torch.full((12,), float(settings["t"])),
            tensors["12_single_w1.audio_tokens"],
            transformer_options={},
            reference=[reference],
            kps_images=[torch.zeros(1, 3, 128, 128, dtype=torch.uint8)],
            voices=[True],
            weights=AttentionWeights(),
        )
        outputs.append(output)
    assert model.model.diffusion_model.input_blocks[1][0].in_layers[2].weight.dtype == dtype
    assert 1e-4 < relative_error(outputs[1], outputs[0]) < 0.5


def test_with_dynamic_vram_shapes_are_checked_before_loading(checkpoints, monkeypatch):
    weights = load_file(checkpoints / "reference_net.safetensors")
    weights = {key: weight for key, weight in weights.items() if key not in UNUSED_BY_REFERENCE_NET}
    key = "time_embedding.linear_1.weight"
    weights[key] = weights[key][:, :-1]
    config = UNetConfig.of(weights)
    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", True)
    net = ReferenceNet(dtype=torch.float32, operations=comfy.ops.manual_cast, **unet_arguments(config))
    with pytest.raises(ValueError, match=r"time_embed.0.weight \[128, 31\] instead of \[128, 32\]"):
        load_weights(net, convert_unet(weights, config), "reference_net.safetensors")


@pytest.mark.parametrize("part", ["reference_net", "v_kps_guider", "denoising_unet"])
def test_a_foreign_file_is_none_of_the_five(part, checkpoints, tmp_path):
    for name in PARTS:
        shutil.copy(checkpoints / f"{name}.safetensors", tmp_path)
    save_file({"lora.weight": torch.zeros(2)}, tmp_path / f"{part}.safetensors")
    with pytest.raises(
        ValueError, match=f"{part}.safetensors is none of V-Express's five files.*lora.weight"
    ):
        tiny_reference_net(tmp_path) if part == "reference_net" else tiny_model(tmp_path)
