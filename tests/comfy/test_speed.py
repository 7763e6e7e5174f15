"""What is faster by choice: which model evaluations are left out, and that nothing else changes."""

from contextlib import contextmanager

import comfy.sample
import comfy.samplers
import pytest
import torch
from models import segments_of
from pack.nodes.speed import GuidanceInterval, Speed
from pack.vexpress.comfyui.clip import Clip
from pack.vexpress.comfyui.context import set_context
from pack.vexpress.comfyui.ddim import exact_ddim
from pack.vexpress.comfyui.sampling import sample, trailing_sigmas
from pack.vexpress.comfyui.speed import PRESETS
from test_sampling import clip

COND, UNCOND = 0, 1  # as ComfyUI counts them


@contextmanager
def evaluations(model):
    """Every evaluation of the network, as it happens: (timestep, conds)."""
    seen = []

    def note(network, args, kwargs):
        options = kwargs["transformer_options"]
        timestep = model.get_model_object("model_sampling").timestep(options["sigmas"][:1])
        seen.append((int(timestep), sorted(options["cond_or_uncond"])))

    hook = model.model.diffusion_model.register_forward_pre_hook(note, with_kwargs=True)
    yield seen
    hook.remove()


def within(model, start: float, end: float):
    return GuidanceInterval.execute(model, start, end).args[0]


def ours(model, portrait, frames=3, steps=4, cfg=2.5, **options):
    conditions = clip(portrait, frames)
    return sample(model, *conditions, seed=4, steps=steps, cfg=cfg, **options)["samples"]


def guided(seen) -> list[int]:
    return sorted({timestep for timestep, conds in seen if conds == [COND, UNCOND]}, reverse=True)


def unguided(seen) -> list[int]:
    return sorted({timestep for timestep, conds in seen if conds == [COND]}, reverse=True)


@pytest.mark.parametrize(
    "start, end, expected",
    [
        (0.0, 1.0, [999, 799, 599, 399, 199]),
        (0.0, 0.5, [999, 799, 599]),
        (0.0, 0.4, [999, 799]),  # 0.4 lies between 599 and 600
        (0.5, 1.0, [399, 199]),
        (0.3, 0.7, [599, 399]),
        (0.25, 0.3, []),
    ],
)
@pytest.mark.parametrize("sampler", [None, exact_ddim()], ids=["wavefront", "plain loop"])
def test_only_steps_of_the_interval_are_guided(start, end, expected, sampler, model, portrait):
    with evaluations(model) as seen:
        ours(within(set_context(model, 4, 1), start, end), portrait, frames=5, steps=5, sampler=sampler)
    assert guided(seen) == expected
    assert unguided(seen) == [t for t in (999, 799, 599, 399, 199) if t not in expected]
    assert len(seen) == 5 * 2  # windows


def test_the_whole_interval_changes_nothing(model, portrait):
    assert torch.equal(ours(within(model, 0.0, 1.0), portrait), ours(model, portrait))


def test_outside_the_interval_the_picture_is_the_unguided_one(model, portrait):
    unguided = ours(model, portrait, steps=1, cfg=1.0)
    assert torch.equal(ours(within(model, 0.5, 1.0), portrait, steps=1), unguided)


@pytest.mark.parametrize("frames", [8, 13])
def test_the_wavefront_equals_the_plain_loop(frames, model, portrait):
    interval = within(set_context(model, 8, 3), 0.2, 0.6)
    assert torch.equal(
        ours(interval, portrait, frames), ours(interval, portrait, frames, sampler=exact_ddim())
    )


def test_render_equals_the_sampler(model, portrait):
    interval = within(set_context(model, 4, 1), 0.0, 0.6)
    positive, negative, latent = clip(portrait, 9)
    segments = segments_of(Clip(interval, positive, negative, latent["samples"], 4, 4, 2.5))
    assert torch.equal(torch.cat(list(segments)), ours(interval, portrait, 9))


def test_cores_ksampler_takes_it_and_agrees_with_cores_own_override(model, portrait):
    from comfy_extras.nodes_custom_sampler import CFGOverride

    positive, negative, latent = clip(portrait, 3)
    noise = comfy.sample.prepare_noise(latent["samples"], 7)

    def ksampler(model):
        return comfy.sample.sample(
            model,
            noise,
            4,
            2.5,
            "ddim",
            "simple",
            positive,
            negative,
            latent["samples"],
            seed=7,
            disable_pbar=True,
        )

    with evaluations(model) as seen:
        result = ksampler(within(model, 0.0, 0.6))
    assert (guided(seen), unguided(seen)) == ([999, 749, 499], [249])
    (override,) = CFGOverride.execute(model, 1.0, 0.6, 1.0).args
    assert torch.equal(result, ksampler(override))
    assert not torch.equal(result, ksampler(model))


def test_of_two_intervals_both_must_allow_a_step(model, portrait):
    with evaluations(model) as seen:
        ours(within(within(model, 0.3, 1.0), 0.0, 0.7), portrait, steps=5)
    assert guided(seen) == [599, 399]


def test_the_guiders_cfg_is_given_back_even_after_an_error(model, portrait):
    positive, negative, latent = clip(portrait, 3)
    guider = comfy.samplers.CFGGuider(within(model, 0.5, 1.0))
    guider.set_conds(positive, negative)
    guider.set_cfg(2.5)
    at_work = []

    def fail(network, args):
        at_work.append(guider.cfg)
        raise InterruptedError

    hook = model.model.diffusion_model.register_forward_pre_hook(fail)
    noise = torch.zeros_like(latent["samples"])
    with pytest.raises(InterruptedError):
        guider.sample(noise, noise, exact_ddim(), trailing_sigmas(model, 2), disable_pbar=True)
    hook.remove()
    assert (at_work, guider.cfg) == ([1.0], 2.5)


def test_a_guider_without_a_negative_runs_as_ever(model, portrait):
    from comfy_extras.nodes_custom_sampler import BasicGuider, Noise_RandomNoise, SamplerCustomAdvanced

    positive, _, latent = clip(portrait, 3)

    def basic(model):
        (guider,) = BasicGuider.execute(model, positive).args
        sigmas = trailing_sigmas(model, 2)
        return SamplerCustomAdvanced.execute(Noise_RandomNoise(5), guider, exact_ddim(), sigmas, latent)[0]

    assert torch.equal(basic(within(model, 0.5, 1.0))["samples"], basic(model)["samples"])


def test_a_guider_that_guides_in_another_way_is_refused(model, portrait):
    from comfy_extras.nodes_custom_sampler import DualCFGGuider, Noise_RandomNoise, SamplerCustomAdvanced

    positive, negative, latent = clip(portrait, 3)
    interval = within(model, 0.0, 0.5)
    (guider,) = DualCFGGuider.execute(interval, positive, positive, negative, 2.0, 3.0, "regular").args
    with pytest.raises(ValueError, match="Guider_DualCFG guides in another way"):
        SamplerCustomAdvanced.execute(
            Noise_RandomNoise(5), guider, exact_ddim(), trailing_sigmas(model, 2), latent
        )


@pytest.mark.parametrize("start, end", [(0.7, 0.3), (0.5, 0.5)])
def test_an_interval_of_nothing_is_refused(start, end, model):
    with pytest.raises(ValueError, match=f"Guidance from {start:g} to {end:g}: start must lie before end"):
        within(model, start, end)


def test_a_part_beyond_the_end_is_refused(model):
    with pytest.raises(ValueError, match="end is 1.5; it must be a number from 0.0 to 1.0"):
        within(model, 0.0, 1.5)


@pytest.mark.parametrize(
    "preset, steps, guided_steps",
    [
        ("exact: 25 steps", 25, 25),
        ("faster: 20 steps, guidance on the first 70 %", 20, 14),
        ("preview: 10 steps, guidance on the first 70 %", 10, 7),
        ("draft: 8 steps, guidance on the first half", 8, 4),
    ],
)
def test_presets_do_what_they_say(preset, steps, guided_steps, model, portrait):
    patched, number = Speed.execute(model, preset).args
    assert number == steps
    with evaluations(model) as seen:
        ours(patched, portrait, frames=1, steps=number)
    assert (len(guided(seen)), len(seen)) == (guided_steps, steps)


def test_the_first_preset_is_the_default_and_changes_nothing(model):
    _, preset = Speed.define_schema().inputs
    assert preset.default == preset.options[0] == "exact: 25 steps"
    assert Speed.execute(model, preset.default).args[0] is model


def test_presets_keep_to_step_counts_that_are_exact():
    assert all(1000 % preset.steps == 0 for preset in PRESETS.values())
