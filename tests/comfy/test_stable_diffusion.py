"""Runs that start from Stable Diffusion 1.5 and AnimateDiff, in the layouts in which they are published."""

import os
from pathlib import Path

import comfy.ops
import comfy.utils
import pytest
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from pack.tools.model_shapes import TINY, denoising_unet, motion_module
from pack.vexpress.config import UNetConfig
from pack.vexpress.model.unet import AttentionWeights, unet_arguments
from pack.vexpress.tiny import rule_built_weights
from pack.vexpress.training.config import TrainingConfig
from pack.vexpress.training.networks import Networks, load_networks
from pack.vexpress.training.saving import newest_checkpoint
from pack.vexpress.training.stable_diffusion import first_parts
from pack.vexpress.training.stages import begin
from pack.vexpress.training.trainer import train
from random_clips import CPU, draw_clip, quiet
from safetensors.torch import save_file

SD15 = rule_built_weights("sd15", {k: s for k, s in denoising_unet(TINY).items() if "1_5" not in k})
MOTION = rule_built_weights("motion_module", motion_module(TINY))
TO_COMFYUI = comfy.utils.unet_to_diffusers(unet_arguments(UNetConfig.of(SD15)))


@pytest.fixture(autouse=True)
def no_gradients():
    """Unlike a node, training needs gradients."""


def whole_checkpoint() -> dict[str, torch.Tensor]:
    unet = {f"model.diffusion_model.{TO_COMFYUI[key]}": weight for key, weight in SD15.items()}
    others = ("first_stage_model.decoder.conv_in.bias", "cond_stage_model.transformer.text_model.bias")
    return unet | {key: torch.ones(3) for key in others}


def as_safetensors(folder: Path) -> Path:
    save_file(SD15, folder / "sd15.safetensors")
    return folder / "sd15.safetensors"


def as_unet_folder(folder: Path) -> Path:
    (folder / "unet").mkdir()
    save_file(SD15, folder / "unet" / "diffusion_pytorch_model.safetensors")
    return folder / "unet"


def as_folder(folder: Path) -> Path:
    return as_unet_folder(folder).parent


def as_checkpoint(folder: Path) -> Path:
    save_file(whole_checkpoint(), folder / "v1-5-pruned.safetensors")
    return folder / "v1-5-pruned.safetensors"


def as_pickled_checkpoint(folder: Path) -> Path:
    torch.save({"state_dict": whole_checkpoint(), "global_step": 840000}, folder / "v1-5-pruned.ckpt")
    return folder / "v1-5-pruned.ckpt"


def animatediff(folder: Path, prefix: str = "", weights: dict = MOTION) -> Path:
    torch.save({f"{prefix}{key}": weight for key, weight in weights.items()}, folder / "mm_sd_v15_v2.ckpt")
    return folder / "mm_sd_v15_v2.ckpt"


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    "layout", [as_safetensors, as_unet_folder, as_folder, as_checkpoint, as_pickled_checkpoint]
)
def test_every_layout_gives_the_same_start(layout, prefix, tmp_path):
    parts = first_parts(layout(tmp_path), animatediff(tmp_path, prefix), seed=1)
    assert parts["denoising_unet"].keys() == denoising_unet(TINY).keys()
    for key, weight in parts["denoising_unet"].items():
        assert weight.equal(SD15[key.replace("1_5", "1")]), key
    left_out = {"conv_out.weight", "conv_out.bias", "conv_norm_out.weight", "conv_norm_out.bias"}
    assert parts["reference_net"].keys() == SD15.keys() - left_out
    assert all(weight.equal(SD15[key]) for key, weight in parts["reference_net"].items())
    assert parts["motion_module"].keys() == MOTION.keys()
    assert all(weight.equal(MOTION[key]) for key, weight in parts["motion_module"].items())
    Networks(parts, "the start")


def test_a_start_draws_pictures_as_stable_diffusion_does(tmp_path):
    networks = Networks(first_parts(as_checkpoint(tmp_path), animatediff(tmp_path), seed=1), "the start")
    text = {name: weight.clone() for name, weight in networks.named_parameters() if "attn2.to_out" in name}
    begin(networks, 1, 0)
    with torch.no_grad():  # audio attention listens to no text
        for name, weight in networks.named_parameters():
            weight.copy_(text.get(name, weight))
    plain = UNetModel(**unet_arguments(UNetConfig.of(SD15)), operations=comfy.ops.disable_weight_init)
    plain.load_state_dict({TO_COMFYUI[key]: weight for key, weight in SD15.items()})

    generator = torch.Generator().manual_seed(0)
    x, context = (torch.randn(size, generator=generator) for size in ((3, 4, 16, 16), (3, 7, 32)))
    timesteps = torch.full((3,), 500.0)
    kps = torch.randint(0, 256, (3, 3, 128, 128), generator=generator, dtype=torch.uint8)
    with torch.no_grad():
        result = networks.unet(
            x, timesteps, context, transformer_options={}, reference=[None], kps_images=[kps], voices=[True],
            weights=AttentionWeights(reference=0.0, audio=1.0),
        )  # fmt: skip
        expected = plain(x, timesteps, context, transformer_options={})
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_what_starts_from_chance_depends_on_the_seed_alone(tmp_path):
    unet, motion = as_safetensors(tmp_path), animatediff(tmp_path)
    first, again, other = (first_parts(unet, motion, seed) for seed in (1, 1, 2))
    for part, drawn in (("audio_projection", "latents"), ("v_kps_guider", "conv_in.weight")):
        assert all(first[part][key].equal(again[part][key]) for key in first[part])
        assert not first[part][drawn].equal(other[part][drawn])
    assert not first["v_kps_guider"]["conv_out.weight"].any()


def test_the_first_stage_trains_from_there(tmp_path):
    config = TrainingConfig(
        stage=1, data="", output=str(tmp_path / "run"), steps=1, clips=2,
        start_unet=str(as_safetensors(tmp_path)), start_motion=str(animatediff(tmp_path)),
    )  # fmt: skip
    train(config, draw_clip, CPU, quiet)
    networks = load_networks(newest_checkpoint(tmp_path / "run"))
    assert not networks.unet.motion_modules["middle_0"].proj_out.weight.any()


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": SD15, "callbacks": Bomb()}, tmp_path / "sd15.ckpt")
    with pytest.raises(ValueError, match="sd15.ckpt holds more than tensors"):
        first_parts(tmp_path / "sd15.ckpt", animatediff(tmp_path), seed=1)
    assert not (tmp_path / "exploded").exists()


def without(weights: dict, end: str) -> dict:
    return {key: weight for key, weight in weights.items() if not key.endswith(end)}


INPAINTING = SD15 | {"conv_in.weight": torch.zeros(32, 9, 3, 3)}
V1 = {key: weight for key, weight in MOTION.items() if not key.startswith("mid_block")}


@pytest.mark.parametrize(
    "unet, motion, said",
    [
        (MOTION, MOTION, r"^unet.safetensors holds no UNet of Stable Diffusion 1.5: .*motion_modules"),
        (SD15, SD15, r"^mm_sd_v15_v2.ckpt holds no motion modules of AnimateDiff: .*conv_in"),
        (SD15, without(MOTION, "pe"), r"^mm_sd_v15_v2.ckpt holds no motion modules of AnimateDiff"),
        (INPAINTING, MOTION, r"^unet.safetensors reads 9 channels; latents have 4\.$"),
        (
            SD15,
            V1,
            r"unet.safetensors with mm_sd_v15_v2.ckpt does not fit .*missing: unet.motion_modules.mid",
        ),
        (
            without(SD15, "conv_norm_out.bias"),
            MOTION,
            r"does not fit Networks \(1 missing: unet.out.0.bias\)",
        ),
        (SD15 | {"a.bias": torch.ones(1)}, MOTION, r"does not fit Networks \(.* unknown: unet.a.bias"),
    ],
)
def test_files_that_are_no_start_say_why(unet, motion, said, tmp_path):
    save_file(unet, tmp_path / "unet.safetensors")
    config = TrainingConfig(
        stage=1, data="", output=str(tmp_path / "run"), steps=1,
        start_unet=str(tmp_path / "unet.safetensors"), start_motion=str(animatediff(tmp_path, weights=motion)),
    )  # fmt: skip
    with pytest.raises(ValueError, match=said):
        train(config, draw_clip, CPU, quiet)


def test_a_folder_without_a_unet_says_what_it_lacks(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no diffusion_pytorch_model.safetensors"):
        first_parts(tmp_path, tmp_path / "mm.ckpt", seed=1)
