"""The face of a clip, frame by frame: from a track beside the video, or found in its pictures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from ..comfyui.video_frames import VideoFrames
from ..detection import Face, FaceChoice, FaceChooser, Picture, Selection, fill_gaps
from ..kps import Kps
from ..kps_files import load_kps
from .report import LeftOut

TRACKS = (".kps.json", ".kps.safetensors")  # instead of a video's ending
MAX_GAP = 5  # frames in a row without the face
RIVAL = 0.5  # of the face's height: a smaller face is a bystander, a poster or a mistake
CROWDED = 0.05  # of the frames: where more have a rival, it is anyone's voice

Detect = Callable[[ndarray], list[Face]]  # in (H, W, 3) RGB uint8, with the corners of their mouths


class Track(NamedTuple):
    """mouth: (F, 2, 2) its corners, where they are known; x, y in pixels"""

    kps: Kps
    mouth: Tensor | None = None


def track_file(video: Path) -> Path | None:
    """The V-Kps beside a video, if there are any."""
    files = (video.with_name(video.stem + ending) for ending in TRACKS)
    return next((file for file in files if file.is_file()), None)


def read_track(file: Path, frames: VideoFrames, first: int, to_the_end: bool) -> Track:
    """first: frame of the whole video that `frames` begin with; the track is that of the whole video"""
    kps = load_kps(file, frames.width, frames.height, float(frames.fps)).scaled(frames.width, frames.height)
    count = sum(1 for _ in frames)
    points = kps.points[first:] if to_the_end else kps.points[first : first + count]
    if len(points) != count:
        raise ValueError(
            f"{file.name} has {len(kps)} frames, which do not fit the {count} frames of the video from {first} on."
        )
    return Track(replace(kps, points=points))


def follow(frames: VideoFrames, detect: Detect, at: tuple[float, float] | None) -> Track:
    """at: where the face is in the first frame, in parts of the picture; None for the only face there is"""
    picture = Picture(frames.width, frames.height)
    chooser = FaceChooser(Selection(FaceChoice.NEAREST), picture)
    found: list[Face | None] = []
    rivals = 0
    for image in frames:
        faces = detect(image)
        rivals += at is None and _has_rival(faces)
        if at is not None and chooser.previous is None:
            faces = _those_at(faces, np.array(at) * picture)
        found.append(chooser(faces))
    if rivals > CROWDED * len(found):
        raise LeftOut(
            "two faces", f"{rivals} of {len(found)} frames show another face of about the same size."
        )
    try:
        points = fill_gaps([face and np.concatenate([face.points, face.mouth]) for face in found], MAX_GAP)
    except ValueError as error:
        raise LeftOut("no face", str(error)) from error
    eyes_and_nose, mouth = torch.from_numpy(points).float().split([3, 2], dim=1)
    return Track(Kps(eyes_and_nose, *picture, float(frames.fps), "insightface"), mouth)


def _has_rival(faces: list[Face]) -> bool:
    heights = sorted(face.size[1] for face in faces)
    return len(heights) > 1 and heights[-2] > RIVAL * heights[-1]


def _those_at(faces: list[Face], point: ndarray) -> list[Face]:
    """The face nearest to a point that lies on it, or almost."""
    near = sorted(faces, key=lambda face: face.distance(point))
    return [face for face in near[:1] if face.distance(point) <= face.size.max()]
