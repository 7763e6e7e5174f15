"""What remembers the step before goes wrong silently where another window or noise level comes in between: refuse it.

The wavefront denoises frames at many noise levels at once, so there nothing on the MODEL may remember.
"""

import inspect
from collections.abc import Iterator

from comfy.model_patcher import ModelPatcher


def refuse_memory(model: ModelPatcher, *conditionings: list) -> None:
    """Raise a sentence that names what would go wrong on the wavefront, silently if it ran."""
    for what in _found(model.model_options, conditionings):
        raise ValueError(
            f"{what} remembers the step before, which V-Express's order of windows does not have: remove it, or "
            "connect V-Express Sampler Select to V-Express Sampler, which then runs step by step."
        )


def refuse_shared_cache(transformer_options: dict) -> None:
    """Raise where EasyCache, which keeps one change for all it sees, would see the windows of a clip in turn."""
    cache, window = (transformer_options.get(key) for key in ("easycache", "context_window"))
    if window is None or len(window.index_list) == window.total_frames:
        return
    if getattr(cache, "name", None) == "EasyCache":  # LazyCache works on the whole clip
        raise ValueError(
            f"EasyCache mixes up the windows of {len(window.index_list)} frames that a clip of {window.total_frames} "
            "is denoised in: take LazyCache instead."
        )


def _found(options: dict, conditionings: tuple[list, ...]) -> Iterator[str]:
    if "easycache" in options.get("transformer_options", {}):
        yield "EasyCache or LazyCache"
    for function in options.get("sampler_pre_cfg_function", []):
        if inspect.isfunction(function) and inspect.getclosurevars(function).nonlocals.get("momentum"):
            yield "Guidance with momentum (APG)"
    for _, extras in (cond for conditioning in conditionings for cond in conditioning):
        hooks = extras["hooks"].hooks if extras.get("hooks") is not None else []
        if any(len(hook.hook_keyframe.keyframes) > 1 for hook in hooks):
            yield "A LoRA hook with keyframes"
