"""The same workflow gives the same frames, and a change runs what depends on it, no less and no more."""

import comfy.model_management
import comfy.sd
import numpy as np
import pytest
import torch
from models import relative_error
from pack.tools.tiny_models import tiny_vae
from pack.vexpress.comfyui.render import decoded
from pack.vexpress.comfyui.sampling import sample
from test_sampling import clip as conditions_of
from test_server import clip, node
from trouble import job, pictures

FRAMES = 5


def test_a_server_started_anew_makes_the_same_pictures(second, good):
    assert pictures(second, second.run(job())) == good


def test_sampler_and_render_make_the_same_pictures(troubled, good):
    """But for the two encodings: Save Video has its own settings."""
    sampler = {key: value for key, value in job()["video"]["inputs"].items() if key in SAMPLED}
    graph = job(
        sampler=node("VExpressSampler", **sampler),
        pictures=node("VAEDecode", samples=["sampler", 0], vae=["vae", 0]),
        assembled=node("VExpressAssembleVideo", images=["pictures", 0], fps=30.0, deflicker=True),
        shown=node("SaveVideo", video=["assembled", 0], filename_prefix="shown", format="auto", codec="auto"),
    )
    shown = levels(pictures(troubled, troubled.run(graph), "shown"))
    differences = np.abs(shown[:, None] - levels(good)).mean(axis=2)
    assert (differences.argmin(axis=0) == np.arange(len(good))).all()
    assert differences.diagonal().max() < 8  # of 255 levels


SAMPLED = ("model", "positive", "negative", "latent", "seed", "steps", "cfg")


def levels(frames: list[bytes]) -> np.ndarray:
    return np.stack([np.frombuffer(frame, np.uint8).astype(np.float32) for frame in frames])


@pytest.fixture
def little_memory(monkeypatch):
    """So that ComfyUI takes one at a time."""
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *args, **kwargs: 0)


def test_pictures_do_not_depend_on_how_many_the_vae_decodes_at_once(request):
    """Convolutions may add up in another order where there are more pictures, so they agree to rounding."""
    vae = comfy.sd.VAE(tiny_vae())
    latents = torch.randn(FRAMES, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    together = vae.decode(latents)
    render = torch.stack([*decoded(vae, latents)])
    torch.testing.assert_close(together, render, rtol=0, atol=1e-5)
    request.getfixturevalue("little_memory")
    assert torch.equal(vae.decode(latents), render)
    assert torch.equal(torch.stack([*decoded(vae, latents)]), render)


def test_latents_do_not_depend_on_whether_both_conds_are_evaluated_together(model, portrait, request):
    """Nor do matrix products add up in the same order: 2e-5, as all networks are held to."""
    conditions = conditions_of(portrait, FRAMES)
    together = sample(model, *conditions, seed=3, steps=2, cfg=2.0)["samples"]
    assert torch.equal(sample(model, *conditions, seed=3, steps=2, cfg=2.0)["samples"], together)
    request.getfixturevalue("little_memory")
    apart = sample(model, *conditions, seed=3, steps=2, cfg=2.0)["samples"]
    assert relative_error(apart, together) < 2e-5
    assert torch.equal(sample(model, *conditions, seed=3, steps=2, cfg=2.0)["samples"], apart)


# What runs after a change


def small() -> dict:
    """A graph with all that leads to a video, of two frames."""
    graph = clip(frames=2)
    graph["reference"]["inputs"] |= {"width": 64, "height": 64}
    graph["sampler"]["inputs"] |= {"model": ["windows", 0], "steps": 1}
    graph["conditions"]["inputs"]["kps"] = ["moved", 0]
    sampler = graph["sampler"]["inputs"]
    return graph | {
        "windows": node("VExpressContext", model=["models", 0], length=24, overlap=4),
        "moved": node(
            "VExpressRetargetKps",
            reference=["kps", 0],
            strategy="fix_face",
            frames=2,
            fps=30.0,
            timing="clock",
            upstream_exact=False,
        ),
        "render": node("VExpressRender", **sampler, vae=["vae", 0], fps=30.0, deflicker=False),
        "rendered": node("SaveVideo", video=["render", 0], filename_prefix="a", format="auto", codec="auto"),
    }


COPIES = {  # the files of the graph under names of their own, to be replaced
    "denoising_unet": "models/vexpress/denoising_unet",
    "motion_module": "models/vexpress/motion_module",
    "reference_net": "models/vexpress/reference_net",
    "v_kps_guider": "models/vexpress/v_kps_guider",
    "audio_projection": "models/vexpress/audio_projection",
}

CHANGES = [
    *[("models", {part: f"{part}.copy.bin"}) for part in COPIES],
    ("models", {"weight_dtype": "fp8_e4m3fn"}),
    ("encoder", {"audio_encoder": "copy.safetensors"}),
    ("vae", {"vae_name": "copy.safetensors"}),
    ("portrait", {"image": "copy.png"}),
    ("voice", {"audio": "copy.flac"}),
    ("kps", {"file": "copy.json"}),
    ("kps", {"width": 511}),
    ("kps", {"height": 511}),
    ("kps", {"fps": 29.0}),
    ("moved", {"strategy": "no_retarget"}),
    ("moved", {"strategy": "fix_face", "timing": "stretch"}),
    ("moved", {"upstream_exact": True}),
    ("moved", {"fps": 29.0}),
    ("reference", {"width": 72, "height": 72}),
    ("tokens", {"fps": 29.0}),
    ("tokens", {"frames": 2.0}),
    ("conditions", {"reference_weight": 0.9}),
    ("conditions", {"audio_weight": 2.0}),
    ("windows", {"length": 23}),
    ("windows", {"overlap": 3}),
    *[(name, {"seed": 2}) for name in ("sampler", "render")],
    *[(name, {"steps": 2}) for name in ("sampler", "render")],
    *[(name, {"cfg": 2.5}) for name in ("sampler", "render")],
    *[(name, {"fps": 29.0}) for name in ("video", "render")],
    *[(name, {"deflicker": True}) for name in ("video", "render")],
    *[(name, {"filename_prefix": "b"}) for name in ("saved", "rendered")],
]
