"""The wavefront inside ComfyUI gives the latents of ComfyUI's own windowed loop, bit for bit."""

import logging

import comfy.model_management
import comfy.sample
import pytest
import torch
from comfy.context_windows import IndexListContextWindow
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from models import CASES, golden, relative_error
from pack.vexpress.comfyui.context import context_of, set_context
from pack.vexpress.comfyui.ddim import exact_ddim
from pack.vexpress.comfyui.model import PerCond
from pack.vexpress.comfyui.sampling import sample, trailing_sigmas
from pack.vexpress.comfyui.wavefront import Wavefront
from pack.vexpress.kps import Kps
from pack.vexpress.schedule import reference_noise
from pack.vexpress.wavefront import Band, spans
from test_sampling import ENCODER_DRAWS, LOOP, clip, sample_with


@pytest.mark.parametrize("case", ["three_windows", "no_cfg"])
def test_final_latents_are_golden(case, model, portrait):
    settings, tensors = CASES["loops"][case], golden("loops")
    weights = settings["reference_attention_weight"], settings["audio_attention_weight"]
    frames = settings["frames"]
    conditions = clip(portrait, frames, tensors[f"{case}.audio_tokens"], weights)
    noise = reference_noise(settings["seed"], frames, 4, 16, 16, draws_before=ENCODER_DRAWS)
    sampler = Wavefront(Band(spans(frames, settings["size"], settings["overlap"]), settings["steps"]))
    sigmas = trailing_sigmas(model, settings["steps"])
    latents = sample_with(model, noise, settings["guidance"], sampler, sigmas, *conditions)
    assert relative_error(latents * 0.18215, tensors[f"{case}.final_latents"]) < LOOP


@pytest.mark.parametrize("frames", [1, 8, 9, 21])
def test_it_equals_the_plain_loop(frames, model, portrait):
    conditions = clip(portrait, frames)
    noise = comfy.sample.prepare_noise(conditions[2]["samples"], 7)
    windowed, sigmas = set_context(model, 8, 3), trailing_sigmas(model, 4)
    plain = sample_with(windowed, noise, 2.5, exact_ddim(), sigmas, *conditions)
    sampler = Wavefront(Band(spans(frames, 8, 3), 4))
    wavefront = sample_with(model, noise, 2.5, sampler, sigmas, *conditions)
    assert torch.equal(wavefront, plain)


def test_cancel_stops_before_the_next_window(model, portrait):
    conditions = clip(portrait, 9)
    noise = comfy.sample.prepare_noise(conditions[2]["samples"], 7)
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        sampler = Wavefront(Band(spans(9, 8, 3), 2))
        sample_with(model, noise, 1.0, sampler, trailing_sigmas(model, 2), *conditions)


def test_what_remembers_the_step_before_is_refused(model, portrait):
    from comfy_extras.nodes_apg import APG
    from comfy_extras.nodes_easycache import LazyCacheNode

    positive, negative, latent = clip(portrait, 3)
    (cached,) = LazyCacheNode.execute(model, 0.2, 0.15, 0.95, False).args
    (momentum,) = APG.execute(model, 1.0, 5.0, -0.5).args
    for changed, name in ((cached, "EasyCache or LazyCache"), (momentum, "momentum")):
        with pytest.raises(ValueError, match=f"{name}.*remembers the step before"):
            sample(changed, positive, negative, latent, seed=0, steps=1, cfg=2.0)


def apg(model):
    from comfy_extras.nodes_apg import APG

    return APG.execute(model, 1.0, 5.0, 0.0).args[0]


def pag(model):
    """Asks the model about every window a second time."""
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance

    return PerturbedAttentionGuidance.execute(model, 3.0).args[0]


@pytest.mark.parametrize("cfg", [1.0, 2.5])
@pytest.mark.parametrize("guidance", [apg, pag])
def test_guidance_without_memory_gives_what_the_plain_loop_gives(guidance, cfg, model, portrait):
    positive, negative, latent = clip(portrait, 11)
    guided = guidance(set_context(model, 6, 2))
    ours = sample(guided, positive, negative, latent, seed=4, steps=2, cfg=cfg)
    plain = sample(guided, positive, negative, latent, seed=4, steps=2, cfg=cfg, sampler=exact_ddim())
    assert torch.equal(ours["samples"], plain["samples"])


def test_guidance_that_shows_the_model_other_frames_is_refused(model, portrait):
    from comfy_extras.nodes_sag import SelfAttentionGuidance

    positive, negative, latent = clip(portrait, 3)
    (guided,) = SelfAttentionGuidance.execute(model, 0.5, 2.0).args
    with pytest.raises(ValueError, match="other frames than those being denoised.*Sampler Select"):
        sample(guided, positive, negative, latent, seed=0, steps=1, cfg=2.0)


def test_settings_of_comfyuis_windows_that_are_not_taken_are_said(model, caplog):
    with caplog.at_level(logging.WARNING):
        context_of(set_context(model, 4, 1))
        assert not caplog.text
        assert context_of(
            ContextWindowsManualNode.execute(model, 4, 1, "standard_static", 1, False, "flat", 0, False).args[
                0
            ]
        )
    assert "Of ComfyUI's context windows only length and overlap are taken here" in caplog.text


def test_a_frame_that_comfyui_puts_before_a_window_has_its_own_v_kps(model):
    track = Kps(torch.arange(9.0).view(9, 1, 1).expand(9, 3, 2), 128, 128)
    window = IndexListContextWindow([4, 5, 6], dim=0, total_frames=9)
    window.causal_anchor_index = 3
    seen = model.model.resize_cond_for_context_window("kps", PerCond(track), window, None, None).cond
    assert seen.points[:, 0, 0].tolist() == [3, 4, 5, 6]


def test_a_context_of_comfyuis_own_is_checked_too(model, portrait):
    positive, negative, latent = clip(portrait, 3)
    other = set_context(model, 6, 2)
    other.model_options["context_handler"].context_overlap = 6
    with pytest.raises(ValueError, match="overlap of 6 frames leaves a window of 6"):
        sample(other, positive, negative, latent, seed=0, steps=1, cfg=1.0)
