"""Context windows on a MODEL: ComfyUI's own handler, set as V-Express was made for."""

import comfy.context_windows as windows
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP

from .model import VExpress
from .oom import evaluate_conds_apart
from .tell import warn

LENGTH, OVERLAP = 24, 4  # frames, as released


class VExpressWindows(windows.IndexListContextHandler):
    """ComfyUI's windows as V-Express was trained: static, averaged evenly, frames in the batch dimension."""

    def __init__(self, length: int, overlap: int):
        super().__init__(
            windows.get_matching_context_schedule(windows.ContextSchedules.STATIC_STANDARD),
            windows.get_matching_fuse_method(windows.ContextFuseMethods.FLAT),
            context_length=length,
            context_overlap=overlap,
            dim=0,
            causal_window_fix=False,  # it would put a 25th frame before every window but the first
        )

    def get_context_windows(self, *args) -> list[windows.IndexListContextWindow]:
        found = super().get_context_windows(*args)
        for number, window in enumerate(found, start=1):
            window.number = number  # for an error that names it
        return found


def set_context(model: ModelPatcher, length: int = LENGTH, overlap: int = OVERLAP):
    """A clone of `model` that samples clips of any length in windows of `length` frames, `overlap` of them shared."""
    _check(model, length, overlap)
    model = model.clone()
    model.model_options["context_handler"] = VExpressWindows(length, overlap)
    model.remove_wrappers_with_key(
        WrappersMP.PREPARE_SAMPLING, "ContextWindows_prepare_sampling"
    )  # set before
    windows.create_prepare_sampling_wrapper(model)  # memory is needed for one window, not for the clip
    evaluate_conds_apart(model)
    return model


def context_of(model: ModelPatcher) -> tuple[int, int]:
    """Length and overlap of the windows set on `model`, by this pack or by ComfyUI's own node."""
    handler = model.model_options.get("context_handler")
    length, overlap = (
        (LENGTH, OVERLAP) if handler is None else (handler.context_length, handler.context_overlap)
    )
    _check(model, length, overlap)
    if not isinstance(handler, (VExpressWindows, type(None))):
        warn(
            "Of ComfyUI's context windows only length and overlap are taken here, and windows are averaged evenly. "
            "V-Express Context sets them without this warning; with KSampler all of their settings count."
        )
    return length, overlap


def _check(model: ModelPatcher, length: int, overlap: int) -> None:
    most = require_vexpress(model).diffusion_model.max_frames
    if length > most:
        raise ValueError(f"A window of {length} frames is longer than the {most} the motion modules know.")
    if overlap >= length:
        raise ValueError(f"An overlap of {overlap} frames leaves a window of {length} nothing of its own.")


def require_vexpress(model: ModelPatcher) -> VExpress:
    """The V-Express model inside a MODEL, or one sentence if it is something else."""
    if not isinstance(model.model, VExpress):
        raise ValueError(
            f"model is a {type(model.model).__name__}, not V-Express: connect model of Load V-Express."
        )
    return model.model
