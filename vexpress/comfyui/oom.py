"""When memory runs out: first half the work at a time, then a sentence that says what to change."""

import contextlib
import logging
from collections.abc import Iterator

import comfy.model_management
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from torch import Tensor

APART = "vexpress_conds_apart"  # in the options of one sampling: both conds do not fit, so do not try again


@contextlib.contextmanager
def memory_said(doing: str, remedy: str) -> Iterator[None]:
    """Running out of memory is raised as one sentence, which ComfyUI still takes as that."""
    try:
        yield
    except Exception as error:
        comfy.model_management.raise_non_oom(error)
        raise comfy.model_management.OOM_EXCEPTION(f"Memory ran out {doing}: {remedy}.") from error


def evaluate_conds_apart(model: ModelPatcher) -> None:
    """Where positive and negative do not fit together, sampling goes on with one after the other."""
    model.remove_wrappers_with_key(WrappersMP.CALC_COND_BATCH, APART)
    model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, APART, _together_or_apart)


def _together_or_apart(
    executor, model, conds: list, x: Tensor, timestep: Tensor, options: dict
) -> list[Tensor]:
    """conds: those of positive and negative, or None; x: (F, 4, h, w)"""
    remembered = options.setdefault("transformer_options", {})
    apart = [[cond if i == n else None for i, cond in enumerate(conds)] for n in range(len(conds))]
    several = sum(cond is not None for cond in conds) > 1
    if several and not remembered.get(APART):
        try:
            return executor(model, conds, x, timestep, options)
        except Exception as error:
            comfy.model_management.raise_non_oom(error)
        # only here, where the error has let go of its tensors, is there room again
        logging.warning(
            "Memory ran out: positive and negative are evaluated one after the other from here on."
        )
        remembered[APART] = True
        comfy.model_management.soft_empty_cache()
    frames, _, height, width = x.shape
    with memory_said(
        f"at a window of {frames} frames of {8 * width}x{8 * height} pixels",
        "set fewer frames with V-Express Context, or make the picture smaller",
    ):
        if not several:
            return executor(model, conds, x, timestep, options)
        return [executor(model, one, x, timestep, options)[n] for n, one in enumerate(apart)]
