"""
What each way of sampling faster leaves out and how far it leads away, for docs/speed.md: the golden loop of 25 steps
on the tests' tiny random networks. Run it as `python tools speed` in the environment of dev.py.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .comfyui import import_comfyui

TESTS = Path(__file__).resolve().parents[1] / "tests"
CASE = "steps25"


def main(arguments: list[str]) -> int:
    import_comfyui()
    sys.path[1:1] = [str(TESTS), str(TESTS / "comfy")]
    import torch

    torch.set_num_threads(1)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        compare(Path(folder))
    return 0


def compare(folder: Path) -> None:
    """Prints a table: halves computed, times fewer, times faster, relative L2 of the final latents."""
    import models

    from ..vexpress.comfyui.speed import PRESETS, apply_preset, guide_within

    model = models.tiny_model(models.write_checkpoints(folder))
    run = golden_loop(model, models.tiny_reference_net(folder), models)
    exact, halves, seconds = min((run(model, 25) for _ in range(3)), key=lambda result: result[2])

    def row(name: str, model, steps: int, **options) -> None:
        result, computed, took = run(model, steps, **options)
        distance = models.relative_error(result, exact)
        print(
            f"| {name} | {computed} | {halves / computed:.2f} | {seconds / took:.2f} | {distance:.2f} |",
            flush=True,
        )

    for name in PRESETS:
        row(name, *apply_preset(model, name))
    for start, end in ((0.0, 0.7), (0.0, 0.5), (0.3, 1.0)):
        row(f"25 steps, guidance from {start:g} to {end:g}", guide_within(model, start, end), 25)
    for steps in (20, 10, 8):
        row(f"{steps} steps", model, steps)
    for name, cached in caches(model).items():
        row(f"25 steps, {name}", cached, 25)
    row("50 steps", model, 50)
    row("another seed", model, 25, seed=1)


def golden_loop(model, net, models) -> Callable:
    """The loop as a function of MODEL and steps: final latents, halves of guided window evaluations, CPU seconds."""
    import comfy.sample

    from ..vexpress.audio import AudioTokens
    from ..vexpress.comfyui.conditioning import condition
    from ..vexpress.comfyui.context import set_context
    from ..vexpress.comfyui.ddim import exact_ddim
    from ..vexpress.comfyui.model import Portrait
    from ..vexpress.comfyui.sampling import trailing_sigmas
    from ..vexpress.kps import Kps
    from ..vexpress.model.unet import AttentionWeights
    from ..vexpress.schedule import reference_noise

    settings, tensors = models.CASES["loops"][CASE], models.golden("loops")
    frames = settings["frames"]
    portrait = Portrait(net.reference_features(tensors["reference_latents"] / 0.18215), 128, 128)
    tokens = AudioTokens(tensors[f"{CASE}.audio_tokens"], 30.0)
    kps = Kps(models.golden("v_kps_guider")["kps"][:frames], 128, 128)
    positive, negative, latent = condition(portrait, tokens, kps, AttentionWeights())

    def run(model, steps: int, seed: int = settings["seed"]) -> tuple:
        model = set_context(model, settings["size"], settings["overlap"])
        noise, sigmas = reference_noise(seed, frames, 4, 16, 16), trailing_sigmas(model, steps)
        halves = []
        embed = model.model.diffusion_model.time_embed
        hook = embed.register_forward_pre_hook(lambda _, inputs: halves.append(len(inputs[0]) // frames))
        started = time.process_time()
        latents = comfy.sample.sample_custom(
            model, noise, settings["guidance"], exact_ddim(), sigmas, positive, negative, latent["samples"],
            disable_pbar=True,
        )  # fmt: skip
        seconds = time.process_time() - started
        hook.remove()
        return latents, sum(halves), seconds

    return run


def caches(model) -> dict:
    """MODELs with ComfyUI's caches at their defaults."""
    from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode

    nodes = {"EasyCache": EasyCacheNode, "LazyCache": LazyCacheNode}
    return {name: node.execute(model, 0.2, 0.15, 0.95, False).args[0] for name, node in nodes.items()}
