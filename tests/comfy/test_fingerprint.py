"""Two renders are one job if, and only if, they would give the same video."""

import logging
import os
import sys
from collections import deque
from fractions import Fraction
from functools import partial
from pathlib import Path

import comfy.model_sampling
import numpy as np
import pytest
import torch
from comfy.hooks import WeightHook
from comfy.patcher_extension import PatcherInjection, WrappersMP
from comfy_api.torch_helpers import set_torch_compile_wrapper
from models import GreyVAE, tiny_model
from pack.vexpress.comfyui import fingerprint as fingerprints
from pack.vexpress.comfyui.clip import Clip
from pack.vexpress.comfyui.context import set_context
from pack.vexpress.comfyui.fingerprint import fingerprint, vae_identity
from test_sampling import clip

FRAMES = 9


@pytest.fixture(scope="module")
def conditions(portrait):
    return clip(portrait, FRAMES)


def job(model, conditions, seed=1, steps=2, cfg=2.0) -> str:
    positive, negative, latent = conditions
    return fingerprint(Clip(model, positive, negative, latent["samples"], seed, steps, cfg).identity)


def test_the_same_files_are_the_same_job(checkpoints, model, portrait, conditions):
    used = tiny_model(checkpoints)
    positive, negative, latent = conditions
    Clip(used, positive, negative, latent["samples"], 5, 1, 1.0).next_latents()  # leaves no trace
    assert job(used, conditions) == job(model, clip(portrait, FRAMES)) == job(set_context(model), conditions)


def lora(strength: float):
    def patched(model):
        changed = model.clone()
        key = "diffusion_model.input_blocks.1.1.proj_in.weight"
        weight = torch.ones_like(changed.model.state_dict()[key])
        assert changed.add_patches({key: ("diff", (weight,))}, strength)
        return changed

    return patched


def guided(scale: float):
    def patched(model):
        from comfy_extras.nodes_pag import PerturbedAttentionGuidance

        return PerturbedAttentionGuidance.execute(model, scale).args[0]

    return patched


def wrapped(scale: float):
    def patched(model):
        def apply_model(executor, *args, **kwargs):
            return scale * executor(*args, **kwargs)

        changed = model.clone()
        changed.add_wrapper(WrappersMP.APPLY_MODEL, apply_model)
        return changed

    return patched


def injected(model):
    changed = model.clone()
    changed.set_injections("others", [PatcherInjection(lambda patcher: None, lambda patcher: None)])
    return changed


def compiled(model):
    changed = model.clone()
    set_torch_compile_wrapper(changed, backend="eager")
    return changed


CHANGED_MODELS = [
    *(lora(0.5), lora(0.6), guided(2.0), guided(3.0)),
    *(wrapped(0.5), wrapped(0.6), injected, compiled, lambda m: set_context(m, 8, 4)),
]


def test_another_model_is_another_job(model, conditions, tmp_path, checkpoints):
    jobs = [job(change(model), conditions) for change in CHANGED_MODELS]
    assert len({*jobs, job(model, conditions)}) == len(jobs) + 1
    assert jobs == [job(change(model), conditions) for change in CHANGED_MODELS]
    for file in checkpoints.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    later = tiny_model(tmp_path)
    assert job(later, conditions) != job(model, conditions)
    before = job(later, conditions)
    os.utime(tmp_path / "denoising_unet.safetensors")  # replaced, but these weights are from before
    assert job(later, conditions) == before != job(tiny_model(tmp_path), conditions)


def test_other_conditions_are_another_job(model, portrait, conditions):
    tokens = torch.zeros(FRAMES, 5, 32)
    changed = tokens.clone()
    changed[7, 4, 31] = 1e-6
    other = portrait._replace(features={k: v * 1.001 for k, v in portrait.features.items()})
    jobs = [
        job(model, clip(portrait, FRAMES, tokens)),
        job(model, clip(portrait, FRAMES, changed)),
        job(model, clip(portrait, FRAMES, weights=(0.95, 2.0))),
        job(model, clip(portrait, FRAMES + 1)),
        job(model, clip(other, FRAMES)),
        job(model, conditions, seed=2),
        job(model, conditions, steps=3),
        job(model, conditions, cfg=2.1),
        job(model, conditions),
    ]
    assert len(set(jobs)) == len(jobs)


def test_the_weights_of_a_vae_count():
    def vae(weight: float):
        result = GreyVAE()
        result.first_stage_model = torch.nn.Linear(3, 2)
        torch.nn.init.constant_(result.first_stage_model.weight, weight)
        torch.nn.init.zeros_(result.first_stage_model.bias)
        return result

    assert fingerprint(vae_identity(vae(1.0))) == fingerprint(vae_identity(vae(1.0)))
    assert fingerprint(vae_identity(vae(1.0))) != fingerprint(vae_identity(vae(2.0)))


def sampling(prediction: type):
    """As ComfyUI's own nodes make them."""

    class ModelSampling(comfy.model_sampling.ModelSamplingDiscrete, prediction):
        pass

    return ModelSampling()


@pytest.mark.parametrize(
    "one, other",
    [
        (1, 1.0),
        (1, True),
        ("1", 1),
        ([1, 2], [[1], 2]),
        ([1, 2], [12]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        (Fraction(25), Fraction(30)),
        (WeightHook(strength_model=0.5), WeightHook(strength_model=1.0)),
        (WeightHook(strength_clip=0.5), WeightHook(strength_clip=1.0)),
        (np.float32(0.5), np.float32(0.8)),
        (np.zeros(3), np.ones(3)),
        (np.zeros(3), np.zeros((3, 1))),
        (np.arange(2000), np.arange(2000) + (np.arange(2000) == 1000)),  # more than NumPy prints
        (range(3), range(4)),
        (Path("a"), Path("b")),
        (deque([1]), deque([2])),
        (logging, sys),
        (partial(max, 1), partial(max, 2)),
        (partial(max, key=abs), partial(max, key=len)),
        (sampling(comfy.model_sampling.EPS), sampling(comfy.model_sampling.V_PREDICTION)),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int32)),
        (torch.zeros(1).expand(2, 3), torch.ones(1).expand(2, 3)),
        (torch.arange(6.0).view(2, 3), torch.arange(6.0).view(3, 2).T),
    ],
)
def test_values_are_told_apart(one, other):
    assert fingerprint(one) != fingerprint(other)


def test_equal_values_are_equal():
    assert fingerprint(torch.arange(6).view(2, 3).T) == fingerprint(torch.tensor([[0, 3], [1, 4], [2, 5]]))
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(np.arange(6).reshape(2, 3).T) == fingerprint(np.array([[0, 3], [1, 4], [2, 5]]))
    assert fingerprint(object()) == fingerprint(object())
    endless = []
    endless.append(endless)
    assert fingerprint(endless) == fingerprint(endless)


def test_what_leads_into_the_whole_program_ends():
    """As a patch does that was defined in a function with an import of its own."""
    import asyncio

    def patch():
        return asyncio, unset, logging.getLogger("x"), server

    class Server:
        loop, modules = asyncio.get_event_loop_policy(), sys.modules

    server = Server()
    server.here, server.handlers, server.more = server, [patch] * 3, vars(asyncio)
    assert fingerprint(patch) == fingerprint(patch)
    unset = None


def test_an_object_that_many_hold_is_told_once():
    shared = [WeightHook()]
    for _ in range(60):  # each holds the one before twice: 2^60 ways lead to the first
        hook = WeightHook()
        hook.first, hook.second = shared[-1], shared[-1]
        shared.append(hook)
    assert fingerprint(shared[-1]) == fingerprint(shared[-1])


def test_another_version_of_the_pack_makes_another_job(monkeypatch, tmp_path):
    before = fingerprint(1)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "9.9.9"\n')
    monkeypatch.setattr(fingerprints, "PROJECT", tmp_path / "pyproject.toml")
    assert fingerprint(1) != before


def test_a_second_model_that_a_patch_uses_counts(checkpoints, conditions):
    def guided_by(weaker):
        model = tiny_model(checkpoints)
        model.set_model_sampler_post_cfg_function(lambda args: (args["denoised"], weaker)[0])
        return job(model, conditions)

    assert guided_by(tiny_model(checkpoints)) == guided_by(tiny_model(checkpoints))
    assert guided_by(tiny_model(checkpoints)) != guided_by(lora(0.5)(tiny_model(checkpoints)))
