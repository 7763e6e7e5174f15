"""A face cut out of a picture for V-Express, and the frames made of it put back."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from comfy_api.latest import Input
from torch import Tensor

from ..crop import Placement, cut, feather_weights, kps_in_crop, match_colour, paste, place
from ..kps import ASPECT_TOLERANCE, Kps
from ..pictures import rgb
from .conditioning import fit
from .folders import temp_file
from .video_frames import video_frames, with_progress
from .video_sound import video_sound
from .video_writer import CRF, write_video


def crop_face(image: Tensor, kps: Kps, margin: float, size: int) -> tuple[Tensor, Kps, Placement]:
    """image: (1, H, W, C) in 0..1; returns the square (1, size, size, 3), V-Kps in it, and where it was."""
    if len(image) != 1:
        raise ValueError(f"image holds {len(image)} pictures: connect the one to cut the face from.")
    if size % 8:
        raise ValueError(f"{size} pixels: size must be a multiple of 8.")
    image = rgb(image, "image")
    height, width = image.shape[1:3]
    kps = kps.scaled(width, height)
    placement = place(kps, margin, size)
    return fit(cut(image, placement), size, size), kps_in_crop(kps, placement), placement


def paste_images(
    original: Tensor, placement: Placement, images: Tensor, feather: float, match: bool
) -> Tensor:
    """original: (1 or F, H, W, C), images: (F, h, w, C) in 0..1; returns (F, H, W, 3)"""
    if len(original) not in (1, len(images)):
        raise _unequal(original, len(images))
    original, images = _checked(original, placement), rgb(images, "images")
    result = torch.empty(len(images), *original.shape[1:])
    frames = with_progress(images.float().cpu(), len(images))
    for target, picture in zip(result, _pasted(original, placement, frames, feather, match), strict=True):
        target.copy_(picture)
    return result


def paste_video(
    original: Tensor, placement: Placement, video: Input.Video, feather: float, match: bool, crf: int = CRF
) -> Path:
    """A new video in the temporary folder, with the voice of `video`; a few frames are in memory at a time."""
    pictures = video_frames(video)
    original = _checked(original, placement)
    frames = (torch.from_numpy(picture).float() / 255 for picture in pictures)
    frames = with_progress(frames, pictures.count)
    path = temp_file(".mp4")
    with write_video(path, pictures.fps, video_sound(video), crf) as writer:
        for picture in _pasted(original, placement, frames, feather, match):
            writer.write(picture)
    return path


def _unequal(original: Tensor, frames: int | str) -> ValueError:
    return ValueError(
        f"original holds {len(original)} pictures for {frames} frames: connect one, or one each."
    )


def _checked(original: Tensor, placement: Placement) -> Tensor:
    height, width = original.shape[1:3]
    if (width, height) != (placement.width, placement.height):
        raise ValueError(
            f"original has {width}x{height} pixels, but the face was cut from a picture of "
            f"{placement.width}x{placement.height}."
        )
    return rgb(original, "original").float().cpu()


def _pasted(
    original: Tensor, placement: Placement, frames: Iterable[Tensor], feather: float, match: bool
) -> Iterator[Tensor]:
    """
    Colours are matched once, on the first frame: its pose is nearest to the picture's, and nothing can flicker.

    frames: F times (h, w, 3); yields (H, W, 3)
    """
    weights = feather_weights(placement, feather)
    colours = None
    for frame, picture in _each_with_its_own(frames, original):
        _check_square(frame)
        image = placement.in_picture(fit(frame[None], placement.side, placement.side)[0])
        if match:
            behind = picture[placement.rows, placement.columns]
            colours = colours or match_colour(image, behind, placement)
            image = colours(image)
        yield paste(picture, image, weights, placement)


def _check_square(frame: Tensor) -> None:
    height, width, _ = frame.shape
    if abs(width / height - 1) > ASPECT_TOLERANCE:
        raise ValueError(
            f"The talking frames have {width}x{height} pixels, but a square was cut out: take away what crops or "
            "stretches them on the way."
        )


def _each_with_its_own(frames: Iterable[Tensor], original: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames and the pictures behind them. How many frames a video has is known only when it ends."""
    count = 0
    for count, frame in enumerate(frames, start=1):
        if 1 < len(original) < count:
            raise _unequal(original, f"more than {len(original)}")
        yield frame, original[min(count, len(original)) - 1]
    if len(original) not in (1, count):
        raise _unequal(original, count)
