"""
SyncNet: how far apart lips and voice are (Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016), with
the layers of syncnet_v2.model and the protocol of LSE-D and LSE-C (Prajwal et al., "A Lip Sync Expert Is All You Need",
2020).
"""

from math import floor

import numpy as np
import torch
from numpy import ndarray
from scipy.ndimage import median_filter
from torch import Tensor, nn
from torch.nn import functional as F

from .metrics import Number
from .mfcc import RATE

FPS, SAMPLE_RATE = 25, 16000
PICTURES = 5  # that one window of lips has
MOMENTS = PICTURES * RATE // FPS  # that one window of the voice has
STEP = RATE // FPS  # moments from a window to the next
SHIFTS = 15  # windows by which the voice is moved, either way
FACE = 224  # pixels
MARGIN = 0.4  # beside a face's box, of its longer half side; twice that below, and none above
GREY = 110  # of 255, beyond the picture
STEADY = 13  # frames of the median that a face's box is steadied by


class SyncNet(nn.Module):
    """Lips and voice become points that lie near each other where they belong together."""

    def __init__(self):
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_sound(1, 64),
            nn.Identity(),
            *_sound(64, 192),
            nn.MaxPool2d(3, (1, 2)),
            *_sound(192, 384),
            *_sound(384, 256),
            *_sound(256, 256),
            nn.MaxPool2d(3, 2),
            *_sound(256, 512, (5, 4), 0),
        )
        self.netcnnlip = nn.Sequential(
            *_lips(3, 96, (5, 7, 7), 2, 0),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lips(96, 256, (1, 5, 5), 2),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_lips(256, 256),
            *_lips(256, 256),
            *_lips(256, 256),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lips(256, 512, (1, 6, 6), padding=0),
        )
        self.netfcaud, self.netfclip = _point(), _point()

    def voice(self, windows: Tensor) -> Tensor:
        """
        windows: (W, 20, 13) of `mfcc`, as `voice_windows` cuts them
        returns: (W, 1024)
        """
        return self.netfcaud(self.netcnnaud(windows.movedim(1, 2)[:, None]).flatten(1))

    def lips(self, faces: Tensor) -> Tensor:
        """
        faces:   (F, 3, 224, 224) as `face_square` cuts them
        returns: (F - 4, 1024) for every five in a row
        """
        seen = self.netcnnlip(faces.movedim(0, 1)[None])  # only the first layer looks beyond a picture
        return self.netfclip(seen[0, :, :, 0, 0].T)


def _sound(before: int, after: int, kernel: int | tuple[int, int] = 3, padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, padding=padding), nn.BatchNorm2d(after), nn.ReLU()]


def _lips(
    before: int, after: int, kernel: tuple[int, int, int] = (1, 3, 3), stride: int = 1, padding: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv3d(before, after, kernel, (1, stride, stride), (0, padding, padding))
    return [convolution, nn.BatchNorm3d(after), nn.ReLU()]


def _point() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class Synchrony:
    """LSE-D, the least mean distance of lips and voice over all shifts, and LSE-C, by how much it is below the median."""

    def __init__(self):
        self._sum, self._windows = torch.zeros(2 * SHIFTS + 1), 0

    def add(self, lips: Tensor, voice: Tensor) -> None:
        """
        lips:  (W, 1024) windows in a row
        voice: (W + 30, 1024) from 15 windows before the first of them to 15 after the last, 0 where there are none
        """
        around = voice.unfold(0, 2 * SHIFTS + 1, 1).movedim(-1, 1)
        self._sum += F.pairwise_distance(lips[:, None], around).sum(0)
        self._windows += len(lips)

    def numbers(self) -> list[Number]:
        distances = self._sum / self._windows
        least, shift = distances.min(0)
        return [
            Number("SyncNet LSE-D", least.item()),
            Number("SyncNet LSE-C", (distances.median() - least).item()),
            Number("lips later than the voice by", (SHIFTS - shift.item()) / FPS, "s"),
        ]


def windows_of(pictures: int, samples: int) -> int:
    """How many windows SyncNet compares. pictures: at 25 per second; samples: at 16 kHz"""
    return max(min(pictures, samples * FPS // SAMPLE_RATE) - PICTURES, 0)


def voice_windows(moments: ndarray, first: int, end: int) -> Tensor:
    """
    moments: (T, 13) of `mfcc`
    returns: (W, 20, 13) the windows from `first` to before `end`
    """
    part = moments[STEP * first : STEP * (end - 1) + MOMENTS]
    return torch.from_numpy(part).unfold(0, MOMENTS, STEP).movedim(-1, 1)


def steady_squares(boxes: ndarray, shown: ndarray) -> ndarray:
    """
    boxes:   (F, 4) left, top, right, bottom; nan in frames without a face, of which not all may be
    shown:   (P,) frames that are shown 25 times a second
    returns: (P, 3) x and y of the centre, and half the longer side
    """
    known = np.flatnonzero(~np.isnan(boxes[:, 0]))
    left, top, right, bottom = (np.interp(shown, known, edge[known]) for edge in boxes.T)
    half = np.maximum(np.maximum(right - left, bottom - top) / 2, 1)
    squares = np.stack([(left + right) / 2, (top + bottom) / 2, half], 1)
    return median_filter(squares, (STEADY, 1), mode="nearest")


def face_square(picture: ndarray, square: ndarray) -> Tensor:
    """
    picture: (H, W, 3) RGB uint8
    square:  (3,) of `steady_squares`
    returns: (3, 224, 224) blue, green, red in 0..255, with more below the face than above
    """
    x, y, half = square
    top, bottom = floor(y - half), floor(y + half * (1 + 2 * MARGIN))
    left, right = floor(x - half * (1 + MARGIN)), floor(x + half * (1 + MARGIN))
    height, width = picture.shape[:2]
    inside = picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0), ::-1]
    image = torch.from_numpy(inside.copy()).movedim(-1, 0).float()
    beyond = max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0)
    image = F.pad(image, beyond, value=GREY)
    return F.interpolate(image[None], (FACE, FACE), mode="bilinear")[0]
