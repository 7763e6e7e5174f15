"""Whole sampling loops through ComfyUI's samplers, against the reference implementation's final latents."""

import comfy.sample
import comfy.samplers
import pytest
import torch
from models import CASES, golden, relative_error
from pack.vexpress.audio import AudioTokens
from pack.vexpress.comfyui.conditioning import condition
from pack.vexpress.comfyui.context import set_context
from pack.vexpress.comfyui.ddim import exact_ddim, sample_ddim
from pack.vexpress.comfyui.model import Portrait
from pack.vexpress.comfyui.sampling import sample, trailing_sigmas
from pack.vexpress.kps import Kps
from pack.vexpress.model.unet import AttentionWeights
from pack.vexpress.schedule import reference_noise

LOOP = 1e-4  # relative L2 of final latents
ENCODER_DRAWS = 3  # the golden runs drew their noise after the tiny voice encoder's three layers


def clip(portrait: Portrait, frames: int, tokens: torch.Tensor | None = None, weights: tuple = (0.95, 3.0)):
    if tokens is None:
        tokens = torch.randn(frames, 5, 32, generator=torch.Generator().manual_seed(frames))
    kps = golden("v_kps_guider")["kps"]
    track = kps[torch.arange(frames) % len(kps)]
    return condition(portrait, AudioTokens(tokens, 30.0), Kps(track, 128, 128), AttentionWeights(*weights))


def sample_with(model, noise, cfg, sampler, sigmas, positive, negative, latent):
    return comfy.sample.sample_custom(
        model, noise, cfg, sampler, sigmas, positive, negative, latent["samples"], disable_pbar=True
    )


@pytest.mark.parametrize("case", CASES["loops"])
def test_final_latents_are_golden(case, model, portrait):
    settings, tensors = CASES["loops"][case], golden("loops")
    weights = settings["reference_attention_weight"], settings["audio_attention_weight"]
    frames = settings["frames"]
    conditions = clip(portrait, frames, tensors[f"{case}.audio_tokens"], weights)
    noise = reference_noise(settings["seed"], frames, 4, 16, 16, draws_before=ENCODER_DRAWS)
    windowed = set_context(model, settings["size"], settings["overlap"])
    sigmas = trailing_sigmas(model, settings["steps"])
    latents = sample_with(windowed, noise, settings["guidance"], exact_ddim(), sigmas, *conditions)
    assert relative_error(latents * 0.18215, tensors[f"{case}.final_latents"]) < LOOP


@pytest.mark.parametrize("frames", [1, 23, 24, 25, 44, 45, 65])
def test_a_clip_of_any_length_comes_out_whole(frames, model, portrait):
    positive, negative, latent = clip(portrait, frames)
    result = sample(model, positive, negative, latent, seed=1, steps=2, cfg=2.0)["samples"]
    assert result.shape == (frames, 4, 16, 16)
    assert result.isfinite().all()
    assert result.flatten(1).std(dim=1).min() > 0.1


def test_core_samplers_agree_from_the_same_noise_and_finite_sigmas(model, portrait):
    positive, negative, latent = clip(portrait, 26)
    sigmas = trailing_sigmas(model, 5)[1:]
    noise = comfy.sample.prepare_noise(latent["samples"], 7)
    euler = comfy.samplers.ksampler("euler")
    expected = sample_with(model, noise, 3.5, euler, sigmas, positive, negative, latent)
    ours = sample(model, positive, negative, latent, seed=7, steps=4, cfg=3.5, sigmas=sigmas)["samples"]
    assert relative_error(ours, expected) < LOOP


def test_ddim_lands_on_the_picture_when_the_model_knows_it(model):
    picture = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(2))
    sigmas = trailing_sigmas(model, 4)[1:]
    result = sample_ddim(lambda x, sigma: picture, torch.zeros(2, 4, 5, 6), sigmas, disable=True)
    torch.testing.assert_close(result, picture)


def test_windows_that_cannot_work_are_refused(model):
    with pytest.raises(ValueError, match="window of 33 frames.*32"):
        set_context(model, 33, 4)
    with pytest.raises(ValueError, match="overlap of 8 frames.*window of 8"):
        set_context(model, 8, 8)


@pytest.mark.parametrize("shape", [(1, 16, 6, 16, 16), (4, 16, 16)])
def test_a_latent_of_another_kind_of_model_is_refused_in_a_sentence(model, portrait, shape):
    positive, negative, _ = clip(portrait, 5)
    with pytest.raises(ValueError, match="The latent has the shape .*: connect the latent of V-Express Cond"):
        sample(model, positive, negative, {"samples": torch.zeros(shape)}, seed=0, steps=1, cfg=1.0)


def test_a_foreign_latent_is_refused_before_sampling(model, portrait):
    positive, negative, latent = clip(portrait, 5)
    other = {"samples": torch.zeros(6, 4, 16, 16)}
    with pytest.raises(ValueError, match="latent has 6 frames of 128 x 128.*conditioning 5"):
        sample(model, positive, negative, other, seed=0, steps=1, cfg=1.0)
    with pytest.raises(ValueError, match="negative conditioning is not V-Express's"):
        sample(model, positive, [[torch.zeros(1, 77, 32), {}]], latent, seed=0, steps=1, cfg=2.0)
