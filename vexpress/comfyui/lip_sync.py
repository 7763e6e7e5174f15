"""How well a video's lips and voice agree, by SyncNet, whose weights the user fetches."""

from fractions import Fraction
from itertools import islice, pairwise, starmap

import comfy.model_management
import comfy.model_patcher
import numpy as np
import torch
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from ..keys import load_weights
from ..metrics import Number
from ..mfcc import mfcc
from ..syncnet import (
    FPS,
    PICTURES,
    SAMPLE_RATE,
    SHIFTS,
    Synchrony,
    SyncNet,
    face_square,
    steady_squares,
    voice_windows,
    windows_of,
)
from .files import load_checkpoint
from .folders import syncnet_files
from .video_frames import VideoFrames, at_rate, with_progress
from .video_sound import mono
from .video_writer import Sound

WEIGHTS_URL = "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model"
AT_ONCE = 32  # windows


class LipSync:
    """SyncNet under ComfyUI's model management. Raises FileNotFoundError if its file is missing."""

    def __init__(self):
        files = syncnet_files()
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise FileNotFoundError(
                f"There is no SyncNet yet: put {WEIGHTS_URL} into {files[0].parent} (for research; read its terms)."
            )
        net = SyncNet()
        load_weights(net, load_checkpoint(str(file)), file.name)
        devices = (
            comfy.model_management.get_torch_device(),
            comfy.model_management.unet_offload_device(),
        )
        self.patcher = comfy.model_patcher.ModelPatcher(net.float().eval(), *devices)

    def __call__(self, sound: Sound, frames: VideoFrames, boxes: ndarray) -> tuple[list[Number], str]:
        """
        sound:   of the video that has the frames
        boxes:   (F, 4) of the face in each of the frames; nan where there is none
        returns: the numbers, and what was compared
        Raises ValueError where nothing can be.
        """
        if np.isnan(boxes).all():
            raise ValueError("No face was found.")
        shown = _shown(len(boxes), frames.fps)
        voice = mono(sound, SAMPLE_RATE, len(shown) / FPS)
        count = windows_of(len(shown), len(voice))
        if not count:
            raise ValueError("The video, or its sound, is too short.")
        moments, result = mfcc(voice, SAMPLE_RATE), Synchrony()
        comfy.model_management.load_model_gpu(self.patcher)
        self.patcher.model.to(
            self.patcher.load_device
        )  # where memory is short, it is left out: torch's own layers
        squares = steady_squares(boxes, shown)
        pictures = zip(at_rate(frames, Fraction(FPS)), squares, strict=False)
        faces = with_progress(starmap(face_square, pictures), count + PICTURES - 1)
        recent = list(islice(faces, PICTURES - 1))
        for first, end in pairwise([*range(0, count, AT_ONCE), count]):
            recent = [*recent[1 - PICTURES :], *islice(faces, end - first)]
            result.add(self._lips(recent), self._voice(moments, first, end, count))
        missing = np.isnan(boxes[:, 0]).sum()
        said = f"Lips and voice were compared for {(count + PICTURES - 1) / FPS:.1f} s"
        return result.numbers(), said + (
            f"; in {missing} of {len(boxes)} frames the face was not found, and its place taken from others."
            if missing
            else "."
        )

    def _lips(self, faces: list[Tensor]) -> Tensor:
        return self.patcher.model.lips(torch.stack(faces).to(self.patcher.load_device)).cpu()

    def _voice(self, moments: ndarray, first: int, end: int, count: int) -> Tensor:
        """Of the windows, and of SHIFTS on both sides of them."""
        begin, stop = max(first - SHIFTS, 0), min(end + SHIFTS, count)
        windows = voice_windows(moments, begin, stop).to(self.patcher.load_device)
        points = self.patcher.model.voice(windows).cpu()
        return F.pad(points, (0, 0, begin - first + SHIFTS, end + SHIFTS - stop))


def _shown(frames: int, fps: Fraction) -> ndarray:
    """(P,) the frames that are shown 25 times a second, as `at_rate` has them"""
    return np.array([int(i * fps / FPS) for i in range(int(frames * FPS / fps))], int)
