"""Less work for nearly the same pictures, by choice: guidance on some of the steps, and fewer steps."""

from collections.abc import Callable
from typing import NamedTuple

from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from comfy.samplers import CFGGuider
from torch import Tensor


def guide_within(model: ModelPatcher, start: float, end: float) -> ModelPatcher:
    """A clone of `model` without classifier-free guidance outside that part of the denoising.

    start, end: fractions of the denoising, as ComfyUI's start_percent and end_percent
    """
    if not 0 <= start < end <= 1:
        raise ValueError(f"Guidance from {start:g} to {end:g}: start must lie before end, both in 0 to 1.")
    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "guidance_interval", _interval(start, end))
    return model


def _interval(start: float, end: float) -> Callable:
    def predict_noise(executor, x: Tensor, timestep: Tensor, *args, **kwargs) -> Tensor:
        guider = executor.class_obj
        _check(guider)
        sigma_of = guider.inner_model.model_sampling.percent_to_sigma
        if sigma_of(end) <= timestep[0].item() <= sigma_of(start):
            return executor(x, timestep, *args, **kwargs)
        cfg, guider.cfg = guider.cfg, 1.0  # at which ComfyUI leaves out the unconditional half
        try:
            return executor(x, timestep, *args, **kwargs)
        finally:
            guider.cfg = cfg

    return predict_noise


def _check(guider: CFGGuider) -> None:
    if type(guider).predict_noise is not CFGGuider.predict_noise:
        raise ValueError(
            f"A guidance interval is for KSampler, CFGGuider and V-Express's own samplers: {type(guider).__name__} "
            "guides in another way."
        )


class Preset(NamedTuple):
    steps: int
    guided: float  # the fraction of the denoising, from its beginning, that is guided


PRESETS = {  # each count of steps divides 1000
    "exact: 25 steps": Preset(25, 1.0),
    "faster: 20 steps, guidance on the first 70 %": Preset(20, 0.7),
    "preview: 10 steps, guidance on the first 70 %": Preset(10, 0.7),
    "draft: 8 steps, guidance on the first half": Preset(8, 0.5),
}


def apply_preset(model: ModelPatcher, name: str) -> tuple[ModelPatcher, int]:
    """`model` with the preset's guidance, and the preset's steps."""
    steps, guided = PRESETS[name]
    return (model if guided == 1 else guide_within(model, 0.0, guided)), steps
