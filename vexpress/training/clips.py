"""What training learns from: clips of talking faces, and where they are drawn from."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

FAR = 30  # frames between a clip and its portrait, where the video is long enough


class Sample(NamedTuple):
    """One clip. Latents are scaled as the UNet expects them."""

    latents: Tensor  # (F, 4, h, w)
    reference: Tensor  # (4, h, w) another frame of the same video
    kps: Tensor  # (F, 3, 2) left eye, right eye, nose; x, y in pixels
    features: Tensor  # (F, 10, A) audio features around each frame
    lips: Tensor  # (F, 4) left, top, right, bottom of a box twice as large as the mouth, in pixels


class BrokenClip(Exception):
    """One clip cannot be used; the message names it and says why."""


DrawClip = Callable[[int, torch.Generator], Sample]  # frames per clip; all chance comes from the generator


class ClipFolder:
    """Videos prepared as .safetensors files with `latents`, `kps`, `features` and `lips` of all their frames.

    Only the frames of a clip are read, so memory does not grow with the videos.
    """

    def __init__(self, folder: Path):
        self.files = sorted(folder.glob("*.safetensors"))
        self.first: tuple[str, list[int], list[int]] | None = (
            None  # its name, and sizes of latents and features
        )
        if not self.files:
            raise FileNotFoundError(f"{folder} holds no .safetensors files of prepared videos.")

    def __call__(self, frames: int, generator: torch.Generator) -> Sample:
        path = self.files[_draw(len(self.files), generator)]
        try:
            with safe_open(path, "pt") as file:
                self._check_alike(file, path.name)
                return _clip(file, path.name, frames, generator)
        except (SafetensorError, OSError) as error:
            raise BrokenClip(f"{path.name} cannot be read ({error}).") from error

    def _check_alike(self, file: safe_open, name: str) -> None:
        latents, features = (file.get_slice(key).get_shape()[1:] for key in ("latents", "features"))
        first, its_latents, its_features = self.first = self.first or (name, latents, features)
        if latents != its_latents:
            raise ValueError(
                f"{name} was prepared with another size than {first} (latents of {latents} and {its_latents}): "
                "prepare all videos of a folder with the same --size."
            )
        if features != its_features:
            raise ValueError(
                f"{name} was prepared with another audio encoder than {first} ({features} and {its_features} features): "
                "prepare all videos of a folder with the same one."
            )


def _clip(file: safe_open, name: str, frames: int, generator: torch.Generator) -> Sample:
    latents, *rest = (file.get_slice(key) for key in ("latents", "kps", "features", "lips"))
    length = latents.get_shape()[0]
    if length <= frames:
        raise BrokenClip(f"{name} has {length} frames; a clip of {frames} and a portrait need {frames + 1}.")
    start = _draw(length - frames + 1, generator)
    stop = start + frames
    away = _far_frames(start, stop, length)
    reference = away[_draw(len(away), generator)]
    clip = [part[start:stop].float() for part in (latents, *rest)]
    sample = Sample(clip[0], latents[reference : reference + 1][0].float(), *clip[1:])
    if not all(part.isfinite().all() for part in sample):
        raise BrokenClip(f"{name} has values that are no finite numbers in frames {start} to {stop - 1}.")
    return sample


def _far_frames(start: int, stop: int, length: int) -> list[int]:
    """Frames at least `FAR` outside start..stop, or those that are farthest from it in a short video."""
    away = {i: max(start - i, i - stop + 1) for i in range(length) if not start <= i < stop}
    least = min(FAR, max(away.values()))
    return [i for i, distance in away.items() if distance >= least]


def _draw(number: int, generator: torch.Generator) -> int:
    return int(torch.randint(number, (), generator=generator))
