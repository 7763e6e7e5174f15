"""ComfyUI's EasyCache and LazyCache under V-Express: right, or refused."""

import comfy.sample
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
from pack.vexpress.comfyui.context import set_context
from test_sampling import clip
from test_speed import evaluations

STEPS = 10


def ksampler(model, portrait, frames):
    positive, negative, latent = clip(portrait, frames)
    noise = comfy.sample.prepare_noise(latent["samples"], 7)
    return comfy.sample.sample(
        model,
        noise,
        STEPS,
        2.0,
        "ddim",
        "simple",
        positive,
        negative,
        latent["samples"],
        seed=7,
        disable_pbar=True,
    )


def cached(node, model, threshold: float):
    return node.execute(model, threshold, 0.15, 0.95, False).args[0]


def cores_windows(model):
    return ContextWindowsManualNode.execute(
        model, 4, 1, "standard_static", 1, False, "flat", 0, False, causal_window_fix=False
    ).args[0]


@pytest.mark.parametrize("windows", [lambda model: set_context(model, 4, 1), cores_windows])
def test_easycache_is_refused_where_a_clip_has_several_windows(windows, model, portrait):
    with pytest.raises(ValueError, match="EasyCache mixes up the windows of 4 frames that a clip of 5"):
        ksampler(cached(EasyCacheNode, windows(model), 0.2), portrait, 5)


def test_easycache_leaves_out_evaluations_of_a_clip_of_one_window(model, portrait):
    windowed, run = set_context(model, 4, 1), []
    plain = ksampler(windowed, portrait, 4)
    assert torch.equal(ksampler(cached(EasyCacheNode, windowed, 0.0), portrait, 4), plain)
    hook = model.model.diffusion_model.time_embed.register_forward_hook(lambda *_: run.append(1))
    ksampler(cached(EasyCacheNode, windowed, 1.0), portrait, 4)
    hook.remove()
    assert 2 < len(run) < STEPS


def test_lazycache_leaves_out_whole_steps_of_a_clip_of_several_windows(model, portrait):
    windowed = set_context(model, 4, 1)
    with evaluations(model) as seen:
        result = ksampler(cached(LazyCacheNode, windowed, 1.0), portrait, 5)
    run = [timestep for timestep, _ in seen]
    assert run[0::2] == run[1::2]  # both windows of a step, or neither
    assert 2 < len(run[::2]) < STEPS
    assert torch.equal(result, ksampler(repeating_changes(windowed, run), portrait, 5))


def repeating_changes(model, run: list[int]):
    """What LazyCache means: a step that is not run changes the clip as the step before did."""
    model, change = model.clone(), []

    def predict_noise(executor, x, timestep, *args):
        if int(executor.class_obj.inner_model.model_sampling.timestep(timestep[:1])) in run:
            denoised = executor(x, timestep, *args)
            change[:] = [denoised - x]
            return denoised
        return x + change[0]

    model.add_wrapper(WrappersMP.PREDICT_NOISE, predict_noise)
    return model
