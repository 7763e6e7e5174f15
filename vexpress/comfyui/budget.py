"""Memory and disk of a render, estimated before it starts, so that nothing fails hours later that could not fit."""

import shutil
from pathlib import Path

import comfy.model_management
import torch

from ..estimate import in_bytes, video_bytes
from .clip import Clip

DRAWN = 12  # bytes for a pixel that is drawn: three of float32
WIDTHS = (
    12  # a pass holds at least so many maps as wide as the UNet's first level, at the size of the latents
)


def memory_needed(clip: Clip) -> int:
    """Bytes on the device, beside the models, for one cond of one window and the frames that are under way."""
    frames, channels, height, width = clip.window.shape
    net, dtype = clip.model.model.diffusion_model, clip.model.model.get_dtype_inference()
    maps = frames * height * width * net.model_channels * WIDTHS * dtype.itemsize
    stride = clip.band.windows[0].done
    alive = min(clip.band.num_frames, clip.band.steps * stride + frames)
    return maps + alive * channels * height * width * clip.sigmas.itemsize


def disk_needed(clip: Clip, crf: int) -> tuple[int, int]:
    """Bytes of the parts that are still to be written, and of all of them joined."""
    *_, height, width = clip.window.shape
    band = clip.band
    left = band.num_frames - band.released
    return tuple(video_bytes(frames, 8 * width, 8 * height, crf) for frames in (left, band.num_frames))


def check_memory(clip: Clip, needed: int) -> None:
    total = comfy.model_management.get_total_memory(clip.model.load_device)
    if needed > total:
        frames, _, height, width = clip.window.shape
        raise ValueError(
            f"A window of {frames} frames of {8 * width}x{8 * height} pixels needs at least {in_bytes(needed)} of memory, "
            f"and there are {in_bytes(total)}: take a smaller picture, or shorter windows with V-Express Context."
        )


def check_pictures(frames: int, width: int, height: int) -> None:
    """Before as many are drawn as a file of V-Kps claims."""
    needed = frames * width * height * DRAWN
    free = comfy.model_management.get_free_memory(torch.device("cpu"))
    if needed > free:
        raise ValueError(
            f"{frames} pictures of {width}x{height} pixels need {in_bytes(needed)} of memory, and {in_bytes(free)} are "
            "free: draw fewer frames, or over a smaller background."
        )


def check_disk(needed: int, place: Path) -> None:
    """place: where it goes, which need not exist yet"""
    folder = _existing(place)
    total, _, free = shutil.disk_usage(folder)
    if total and needed > free:  # 0 in all: a file system that does not tell
        raise ValueError(
            f"The render needs about {in_bytes(needed)} of disk, and the one that holds {folder} has "
            f"{in_bytes(free)} left: free some space."
        )


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
