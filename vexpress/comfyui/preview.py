"""What a node that returns V-Kps shows of them."""

import logging

import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image
from torch import Tensor

from ..chart import draw_chart
from ..kps import Kps

RUNS_NAMED = 3


def kps_chart(kps: Kps, cls: type[io.ComfyNode], *notes: str, filled: Tensor | None = None) -> dict:
    """
    The `ui` of a node: a chart of how the head moves, and sentences, which are logged as well.

    notes:  what the user should know of these V-Kps; that frames leave the picture is added here
    filled: (F,) bool, frames in which no face was found and the points were filled in
    """
    notes = (*notes, *_leaving(kps))
    for note in notes:
        logging.warning("%s: %s", cls.define_schema().display_name, note)
    return shown(chart_image(draw_chart(kps, filled, notes)), cls, *notes)


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
