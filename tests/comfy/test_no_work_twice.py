"""What is known beforehand is not computed, and changes no number."""

from contextlib import contextmanager

import comfy.model_management
import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention
from models import relative_error
from pack.vexpress.comfyui.context import set_context
from pack.vexpress.comfyui.ddim import exact_ddim
from pack.vexpress.comfyui.sampling import sample
from test_sampling import clip

FRAMES = 5


@contextmanager
def rows_entering(model, layer: str):
    """Rows of tokens that a layer sees, call by call."""
    rows = []
    module = model.model.diffusion_model.get_submodule(layer)
    handle = module.register_forward_hook(lambda _, inputs, output: rows.append(tuple(inputs[0].shape[:2])))
    yield rows
    handle.remove()


def patched(model):
    """Somebody else's patch, which changes nothing."""
    model = model.clone()
    model.set_model_attn2_patch(lambda x, context, value, options: (x, context, value))
    return model


def replaced(model):
    """Somebody else's audio attention in one block, which is as ours."""
    model = model.clone()
    model.set_model_attn2_replace(lambda q, k, v, options: optimized_attention(q, k, v, 8), "input", 1)
    return model


AUDIO_QUERIES = "input_blocks.1.1.transformer_blocks.0.attn2.to_q"
PLACES = 16 * 16


@pytest.fixture
def separately(monkeypatch):
    """Too little memory for two conds at once."""
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *args: 0)


def denoise(model, positive, negative, latent) -> torch.Tensor:
    result = sample(model, positive, negative, latent, seed=3, steps=1, cfg=2.0, sampler=exact_ddim())
    return result["samples"]


def test_without_a_voice_one_frame_listens_for_all(model, portrait):
    conditions = clip(portrait, FRAMES)
    with rows_entering(model, AUDIO_QUERIES) as rows:
        skipping = denoise(model, *conditions)
    assert rows == [(FRAMES + 1, PLACES)]
    with rows_entering(model, AUDIO_QUERIES) as rows:
        plain = denoise(patched(model), *conditions)
    assert rows == [(2 * FRAMES, PLACES)]
    assert relative_error(skipping, plain) < 2e-5


def test_also_where_conds_run_one_after_the_other(model, portrait, separately):
    conditions = clip(portrait, FRAMES)
    with rows_entering(model, AUDIO_QUERIES) as rows:
        skipping = denoise(model, *conditions)
    assert sorted(rows) == [(1, PLACES), (FRAMES, PLACES)]
    assert relative_error(skipping, denoise(patched(model), *conditions)) < 2e-5


def test_also_in_context_windows(model, portrait):
    conditions = clip(portrait, FRAMES)
    windowed = set_context(model, 3, 1)
    with rows_entering(model, AUDIO_QUERIES) as rows:
        skipping = denoise(windowed, *conditions)
    assert rows == [(4, PLACES)] * 2
    assert relative_error(skipping, denoise(patched(windowed), *conditions)) < 2e-5


def test_a_negative_that_speaks_is_heard(model, portrait):
    positive, negative, latent = clip(portrait, FRAMES)
    other = torch.randn(FRAMES, 5, 32, generator=torch.Generator().manual_seed(1))
    other[1:] = 0  # one frame speaks
    speaking = [[other, negative[0][1]]]
    with rows_entering(model, AUDIO_QUERIES) as rows:
        heard = denoise(model, positive, speaking, latent)
    assert rows == [(2 * FRAMES, PLACES)]
    assert relative_error(denoise(model, positive, negative, latent), heard) > 1e-3


def test_nothing_is_left_out_where_others_look_at_audio_attention(model, portrait):
    conditions = clip(portrait, FRAMES)
    with rows_entering(model, AUDIO_QUERIES) as rows:
        denoise(replaced(model), *conditions)
    assert rows == [(2 * FRAMES, PLACES)]


def test_the_portrait_is_projected_once_for_all_frames(model, portrait):
    attention = "reference_attention.input_1.attn1_5"
    conditions = clip(portrait, FRAMES)
    with rows_entering(model, f"{attention}.to_k") as rows:
        denoise(model, *conditions)
    assert rows == [(1, PLACES)]


@pytest.mark.parametrize("moving, drawings", [(False, 1), (True, FRAMES)])
def test_v_kps_that_stand_still_are_looked_at_once(moving, drawings, model, portrait):
    positive, negative, latent = clip(portrait, FRAMES)
    condition = positive[0][1]["vexpress"]
    if not moving:
        condition.kps.points[:] = condition.kps.points[0]
    with rows_entering(model, "v_kps_guider.conv_in") as rows:
        denoise(model, positive, negative, latent)
    assert rows == [(drawings, 3)]
