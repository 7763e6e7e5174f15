"""The same workflow gives the same frames, and a change runs what depends on it, no less and no more."""

import os
import shutil

import comfy.model_management
import comfy.sd
import numpy as np
import pytest
import torch
from models import relative_error
from pack.tools.tiny_models import VAE, write_tiny_models
from pack.vexpress.comfyui.render import decoded
from pack.vexpress.comfyui.sampling import sample
from safetensors.torch import load_file
from test_sampling import clip as conditions_of
from test_server import clip, node
from trouble import job, pictures, replaced

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


def test_pictures_do_not_depend_on_how_many_the_vae_decodes_at_once(tmp_path, request):
    """Convolutions may add up in another order where there are more pictures, so they agree to rounding."""
    write_tiny_models(tmp_path)
    vae = comfy.sd.VAE(load_file(tmp_path / VAE))
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


def test_where_memory_runs_out_both_conds_are_evaluated_apart_from_there_on(model, portrait, request):
    conditions, batches = conditions_of(portrait, FRAMES), []

    def run_out(module, inputs) -> None:
        batches.append(len(inputs[0]))
        if len(inputs[0]) > FRAMES:
            raise torch.cuda.OutOfMemoryError("no memory is left")

    hook = model.model.diffusion_model.out.register_forward_pre_hook(run_out)
    fallen_back = sample(model, *conditions, seed=3, steps=2, cfg=2.0)["samples"]
    hook.remove()
    assert batches == [2 * FRAMES, *[FRAMES] * 4]  # it is not tried again at the second step
    request.getfixturevalue("little_memory")
    apart = sample(model, *conditions, seed=3, steps=2, cfg=2.0)["samples"]
    assert relative_error(fallen_back, apart) < 2e-5


# What runs after a change


def small() -> dict:
    """A graph with all that leads to a video, of two frames."""
    graph = clip(frames=2)
    graph["reference"]["inputs"] |= {"width": 64, "height": 64}
    graph["sampler"]["inputs"] |= {"model": ["windows", 0], "steps": 1}
    graph["conditions"]["inputs"]["kps"] = ["moved", 0]
    return graph | {
        "windows": node("VExpressContext", model=["models", 0], length=24, overlap=4),
        "moved": node(
            "VExpressRetargetKps",
            reference=["kps", 0],
            driving=["kps", 0],
            strategy="follow",
            frames=2,
            fps=30.0,
            timing="clock",
            upstream_exact=False,
        ),
        "render": node(
            "VExpressRender", **graph["sampler"]["inputs"], vae=["vae", 0], fps=30.0, deflicker=False
        ),
        "rendered": node("SaveVideo", video=["render", 0], filename_prefix="a", format="auto", codec="auto"),
    }


PARTS = ("denoising_unet", "motion_module", "reference_net", "v_kps_guider", "audio_projection")
CHANGES = [  # of inputs by node
    *[{"models": {part: f"{part}.copy.bin"}} for part in PARTS],
    {"models": {"weight_dtype": "fp8_e4m3fn"}},
    {"encoder": {"audio_encoder": "copy.safetensors"}},
    {"vae": {"vae_name": "copy.safetensors"}},
    {"portrait": {"image": "copy.png"}},
    {"voice": {"audio": "copy.flac"}},
    {"kps": {"file": "copy.json"}},
    {"kps": {"width": 511}},
    {"kps": {"height": 511}},
    {"kps": {"fps": 29.0}},
    {"moved": {"strategy": "fix_face"}},
    {"moved": {"timing": "stretch"}},
    {"moved": {"upstream_exact": True}},
    {"moved": {"fps": 29.0}},
    {"moved": {"frames": 3}, "tokens": {"frames": 3}},
    {"reference": {"width": 72, "height": 72}},
    {"tokens": {"fps": 29.0}},
    {"conditions": {"reference_weight": 0.9}},
    {"conditions": {"audio_weight": 2.0}},
    {"windows": {"length": 23}},
    {"windows": {"overlap": 3}},
    *[{name: {key: 2}} for key in ("seed", "steps", "cfg") for name in ("sampler", "render")],
    *[{name: {"fps": 29.0}} for name in ("video", "render")],
    *[{name: {"deflicker": True}} for name in ("video", "render")],
    *[{name: {"filename_prefix": "b"}} for name in ("saved", "rendered")],
]
CONTAINERS = {("saved", "format"), ("saved", "codec"), ("rendered", "format"), ("rendered", "codec")}


def is_link(value: object) -> bool:
    return isinstance(value, list)


def after(graph: dict, changed: set[str]) -> set[str]:
    """Nodes that depend on the changed ones, and these."""
    reached = set(changed)
    for _ in graph:
        for name, made in graph.items():
            if any(is_link(value) and value[0] in reached for value in made["inputs"].values()):
                reached.add(name)
    return reached


def ran(server, graph: dict) -> set[str]:
    nodes = set()

    def on_event(kind: str, data: dict) -> None:
        if kind == "executing" and data["node"] is not None:
            nodes.add(data["node"])

    server.run(graph, on_event=on_event)
    return nodes


def test_the_table_has_every_input():
    changed = {(name, key) for change in CHANGES for name, inputs in change.items() for key in inputs}
    inputs = {(n, key) for n, made in small().items() for key, v in made["inputs"].items() if not is_link(v)}
    assert changed | CONTAINERS == inputs


@pytest.fixture
def copies(server):
    """The files of the graph a second time."""
    models = server.base / "models"
    for part in PARTS:
        shutil.copy(models / "vexpress" / f"{part}.bin", models / "vexpress" / f"{part}.copy.bin")
    encoders = models / "audio_encoders"
    for end in (".safetensors", ".json"):
        shutil.copy(encoders / f"wav2vec2-base-960h{end}", encoders / f"copy{end}")
    shutil.copy(models / "vae" / "sd-vae-ft-mse.safetensors", models / "vae" / "copy.safetensors")
    names = ("v-express_portrait.png", "v-express_voice.flac", "v-express_portrait_kps.json")
    for name, copy in zip(names, ("copy.png", "copy.flac", "copy.json"), strict=True):
        shutil.copy(server.input / name, server.input / copy)


def test_a_changed_input_runs_what_depends_on_it_and_nothing_else(server, copies):
    graph = small()
    server.run(graph)
    assert ran(server, graph) == set()
    for change in CHANGES:
        for name, inputs in change.items():
            graph |= {name: replaced(graph, name, **inputs)}
        assert ran(server, graph) == after(graph, {*change}), change


def longer(path) -> None:
    """Another content: a track of another place, or a comment behind a picture or a voice."""
    if path.suffix == ".json":
        path.write_text(path.read_text().replace("[[[", "[[[1"))
    else:
        path.write_bytes(path.read_bytes() + bytes(16))


FILES = [  # which node reads it, and what is done to it
    *[("models", f"models/vexpress/{part}.copy.bin", os.utime) for part in PARTS],
    ("encoder", "models/audio_encoders/copy.safetensors", os.utime),
    ("encoder", "models/audio_encoders/copy.json", os.utime),
    ("portrait", "input/copy.png", longer),
    ("voice", "input/copy.flac", longer),
    ("kps", "input/copy.json", longer),
    (None, "input/copy.png", os.utime),
    (None, "input/copy.json", os.utime),
]


def test_a_changed_file_runs_what_depends_on_it_and_nothing_else(server, copies):
    """Weights are told apart by size and time, small files by what is in them."""
    graph = small()
    for change in CHANGES:
        for name, inputs in change.items():
            if any("copy" in str(value) for value in inputs.values()) and name != "vae":
                graph |= {name: replaced(graph, name, **inputs)}
    server.run(graph)
    for name, file, harm in FILES:
        harm(server.base / file)
        assert ran(server, graph) == (after(graph, {name}) if name else set()), file
