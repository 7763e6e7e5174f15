"""V-Express as one of ComfyUI's models: what artists do to a MODEL works on it."""

import comfy.lora
import comfy.sd
import pytest
import torch
from models import golden
from pack.vexpress.comfyui.model import PerCond
from pack.vexpress.model.unet import AttentionWeights


def forward(model) -> torch.Tensor:
    """One forward of the loaded model without a portrait."""
    import comfy.model_management

    comfy.model_management.load_models_gpu([model])
    sample, tokens = golden("unet")["12_single_w1.sample"], golden("unet")["12_single_w1.audio_tokens"]
    return model.model.diffusion_model(
        sample,
        torch.full((12,), 500.0),
        tokens,
        transformer_options=model.model_options["transformer_options"],
        reference=[None],
        kps_images=[None],
        voices=[True],
        weights=AttentionWeights(),
    )


def lora(name: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {f"{name}.lora_up.weight": torch.randn(32, 2), f"{name}.lora_down.weight": torch.randn(2, 32)}


@pytest.mark.parametrize(
    "name",
    [
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "lora_unet_up_blocks_3_attentions_1_transformer_blocks_0_attn2_to_out_0",
    ],
)
def test_a_lora_for_sd15_changes_the_frames(name, model):
    before = forward(model)
    weights = lora(name)
    if "attn2" not in name:
        weights = {key: weight[:32] for key, weight in weights.items()}
    changed, _ = comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0.0)
    assert len(changed.patches) == 1
    assert (forward(changed) - before).norm() / before.norm() > 1e-3


def test_patches_of_others_still_run(model):
    before = forward(model)
    seen = []

    def watch(x, options):
        seen.append(options["block"])
        return x

    patched = model.clone()
    patched.set_model_patch(watch, "middle_patch")
    assert torch.equal(forward(patched), before)
    assert len(seen) == 16


def test_a_fresh_copy_for_another_device_is_read_from_the_files(model):
    loader, arguments = model.cached_patcher_init
    copy = loader(*arguments, disable_dynamic=True)
    assert torch.equal(forward(copy), forward(model))
    assert copy.model_options["context_handler"].context_length == 24


def test_previews_and_latents_are_those_of_sd15(model):
    assert type(model.model.latent_format).__name__ == "SD15"
    sigmas = model.get_model_object("model_sampling").sigmas
    assert sigmas[-1] > 4000  # zero terminal SNR, as near as ComfyUI comes to it


def test_conds_that_lack_something_batch_with_those_that_have_it():
    positive, negative = PerCond("portrait"), PerCond(None)
    assert negative.can_concat(positive)
    assert negative.concat([positive]) == (None, "portrait")
