"""What nodes that return V-Kps or a voice show of them."""

import logging
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image
from torch import Tensor

from ..audio import heard, voice_fault
from ..chart import draw_chart, draw_voice
from ..draw import draw_over
from ..kps import Kps

RUNS_NAMED = 3


def kps_chart(kps: Kps, cls: type[io.ComfyNode], *notes: str, filled: Tensor | None = None) -> dict:
    """
    The `ui` of a node: a chart of how the head moves, and sentences, which are logged as well.

    notes:  what the user should know of these V-Kps; that frames leave the picture is added here
    filled: (F,) bool, frames in which no face was found and the points were filled in
    """
    notes = (*notes, *_leaving(kps))
    _log(notes, cls)
    return shown(chart_image(draw_chart(kps, filled, notes)), cls, *notes)


def voice_chart(audio: dict, frames: int, fps: float, cls: type[io.ComfyNode]) -> dict:
    """The `ui` of a node: the voice of a clip over time, and what is wrong with it, which is logged as well."""
    voice = heard(audio["waveform"], audio["sample_rate"], frames, fps).cpu()
    fault = voice_fault(voice, frames)
    notes = [fault.note] if fault else []
    _log(notes, cls)
    return shown(chart_image(draw_voice(voice.mean(0), frames, fps, fault)), cls, *notes)


def square_preview(kps: Kps, image: Tensor, cls: type[io.ComfyNode]) -> dict:
    """The `ui` of a node: a square (1, H, W, 3) with the first V-Kps, and whether the head leaves it later on."""
    notes = _leaving(kps)
    _log(notes, cls)
    return shown(draw_over(replace(kps, points=kps.points[:1]), image), cls, *notes)


def _log(notes: Iterable[str], cls: type[io.ComfyNode]) -> None:
    for note in notes:
        logging.warning("%s: %s", cls.define_schema().display_name, note)


def chart_image(chart: Image.Image) -> Tensor:
    """(1, H, W, 3) 0..1"""
    return torch.from_numpy(np.array(chart))[None] / 255


def shown(image: Tensor, cls: type[io.ComfyNode], *texts: str) -> dict:
    """The `ui` of a node: a picture (1, H, W, 3) and sentences."""
    return {**ui.PreviewImage(image, cls=cls).as_dict(), "text": texts}


def _leaving(kps: Kps) -> list[str]:
    """One sentence, if there is something to say."""
    outside = kps.outside().numpy()
    if not outside.any():
        return []
    first, end = np.flatnonzero(np.diff(outside, prepend=False, append=False)).reshape(-1, 2).T
    runs = [f"{a}" if a == b - 1 else f"{a} to {b - 1}" for a, b in zip(first, end, strict=True)]
    named = ", ".join(runs[:RUNS_NAMED]) + (", …" if len(runs) > RUNS_NAMED else "")
    return [
        f"{outside.sum()} of {len(kps)} frames have a point outside the picture ({named}): move less, or leave "
        "more room around the face with V-Express Crop Face."
    ]
