"""Files of prepared clips, which `ClipFolder` reads."""

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..comfyui.disk import replace
from .saving import write_tensors

VERSION = "1"  # of how clips are prepared: those of another one are made again
MIRRORED = ".mirrored"
PIECE = re.compile(r"_\d{4,}$")  # of a long clip


class Prepared(NamedTuple):
    """
    latents:  (F, 4, h, w) scaled as the UNet expects them, float16
    kps:      (F, 3, 2) left eye, right eye, nose; x, y in pixels
    features: (F, 10, A) audio features around each frame, float16
    lips:     (F, 4) left, top, right, bottom of a box twice as large as the mouth, in pixels
    """

    latents: Tensor
    kps: Tensor
    features: Tensor
    lips: Tensor


def mirrored(clip: Prepared, latents: Tensor, size: int) -> Prepared:
    """The clip left and right exchanged. latents: of its mirrored pictures"""
    kps, (left, top, right, bottom) = clip.kps[:, [1, 0, 2]].clone(), clip.lips.unbind(-1)
    kps[..., 0] = size - 1 - kps[..., 0]
    lips = torch.stack([size - 1 - right, top, size - 1 - left, bottom], dim=-1)
    return Prepared(latents, kps, clip.features, lips)


def write_prepared(path: Path, clip: Prepared, said: dict[str, str]) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    tensors = {name: part.contiguous() for name, part in clip._asdict().items()}
    try:
        write_tensors(unfinished, tensors, said | {"version": VERSION})
        replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def is_prepared(path: Path, said: dict[str, str]) -> bool:
    """Whether the file is there and was made from the same, in the same way."""
    return (said | {"version": VERSION}).items() <= _said_in(path).items()


def source_of(path: Path) -> str:
    """The name and the state of the video that the file was made from; "" if it is not there."""
    return _said_in(path).get("source", "")


def _said_in(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (FileNotFoundError, SafetensorError):
        return {}


def prepared_of_clips(folder: Path) -> dict[str, set[Path]]:
    """The files that are there by the names of the clips that they may be of: whole ones, pieces, mirrored ones."""
    there = defaultdict(set)
    for path in folder.glob("*.safetensors"):
        name = path.name.removesuffix(".safetensors").removesuffix(MIRRORED)
        for clip in {name, PIECE.sub("", name)}:
            there[clip].add(path)
    return there
