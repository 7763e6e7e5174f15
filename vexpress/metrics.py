"""
How far a talking-head video is from what was asked for.

Pictures come one by one and none is kept but the one before; what stays of a clip is one number per frame and metric.
"""

from array import array
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G, B: ITU-R BT.601
WHITE = 255.0
STILL = 0.5  # the part of a picture that a talking head leaves alone
SSIM_WINDOW = 11  # pixels, Gaussian with sigma 1.5


class Number(NamedTuple):
    name: str
    value: float
    unit: str = ""
    digits: int = 2

    def __str__(self) -> str:
        return f"{self.name}: {self.value:.{self.digits}f} {self.unit}".rstrip()


class PerFrame:
    """A number for each frame, nan where there is none."""

    def __init__(self):
        self._values = array("d")

    def append(self, value: float) -> None:
        self._values.append(value)

    @property
    def values(self) -> ndarray:
        """(F,)"""
        return np.array(self._values)

    @property
    def known(self) -> ndarray:
        """(F',) without the frames that have none"""
        return self.values[~np.isnan(self.values)]

    def mean(self, name: str, unit: str = "", digits: int = 2) -> list[Number]:
        """Nothing where no frame has a number."""
        return [Number(name, float(self.known.mean()), unit, digits)] if len(self.known) else []


class KpsDis:
    """
    Distance of the V-Kps found in a frame from those asked for: the mean over the three points of |found - target|, in
    pixels, and in % of the distance of the target's eyes. Named in the V-Express paper, arXiv 2406.02511.
    """

    def __init__(self):
        self.pixels, self.percent, self.missed = PerFrame(), PerFrame(), PerFrame()

    def add(self, target: ndarray | None, found: ndarray | None) -> None:
        """(3, 2) x, y in pixels; None after the end of the target, or where no face was found"""
        self.missed.append(100.0 * (found is None))
        pixels = percent = np.nan
        if target is not None and found is not None:
            pixels = np.linalg.norm(found - target, axis=1).mean()
            percent = 100 * pixels / np.linalg.norm(target[1] - target[0])
        self.pixels.append(pixels)
        self.percent.append(percent)

    def numbers(self) -> list[Number]:
        means = [*self.pixels.mean("KpsDis", "px"), *self.percent.mean("KpsDis of eye distance", "%")]
        if not means:
            return []
        high = [np.percentile(track.known, 95) for track in (self.pixels, self.percent)]
        return [
            means[0],
            Number("KpsDis p95", high[0], "px"),
            means[1],
            Number("KpsDis p95 of eye distance", high[1], "%"),
        ]


class Jerk:
    """
    Trembling: the mean over the three V-Kps of |p(t+1) - 2 p(t) + p(t-1)|, in pixels per frame squared, over every three
    frames in a row that show the face.
    """

    def __init__(self):
        self.pixels = PerFrame()
        self._recent: list[ndarray | None] = []

    def add(self, points: ndarray | None) -> None:
        """(3, 2) x, y in pixels, or None without a face"""
        self._recent = [*self._recent[-2:], points]
        if len(self._recent) == 3 and all(p is not None for p in self._recent):
            before, here, after = self._recent
            self.pixels.append(np.linalg.norm(after - 2 * here + before, axis=1).mean())


class Flicker:
    """
    Change of brightness where nothing moves: the mean of |Y(t) - Y(t-1)| over the half of the pixels that change least,
    in levels of 255. Y is BT.601 luma.
    """

    def __init__(self):
        self.levels = PerFrame()
        self._before: ndarray | None = None

    def add(self, picture: ndarray) -> None:
        """(H, W, 3) RGB uint8"""
        luma, level = picture @ LUMA, np.nan
        if self._before is not None:
            change = np.abs(luma - self._before).ravel()
            still = max(int(STILL * change.size), 1)
            level = np.partition(change, still - 1)[:still].mean()
        self.levels.append(level)
        self._before = luma


def load_ssim() -> Callable[[Tensor, Tensor], float]:
    """Of luma in 0..255, (1, 1, H, W) both."""
    try:
        from kornia.metrics import ssim  # ComfyUI calls it not essential, so nothing else may need it
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "SSIM needs the package kornia: run `pip install kornia` in ComfyUI's Python."
        ) from error
    return lambda a, b: ssim(a, b, SSIM_WINDOW, max_val=WHITE, padding="valid").mean().item()


class Likeness:
    """
    PSNR, 10 log10(255² / MSE) in dB with the MSE over R, G, B and all frames; and SSIM of luma in -1..1, with the window
    and constants of Wang et al. 2004, averaged over pixels and frames.
    """

    def __init__(self, ssim: Callable[[Tensor, Tensor], float] | None):
        self._ssim = ssim
        self.ssim, self.error = PerFrame(), PerFrame()

    def add(self, picture: ndarray, real: ndarray) -> None:
        """(H, W, 3) RGB uint8, both"""
        error = picture.astype(np.float32) - real
        self.error.append(np.square(error).mean())
        if self._ssim:
            self.ssim.append(
                self._ssim(*(torch.from_numpy(image @ LUMA)[None, None] for image in (picture, real)))
            )

    def numbers(self) -> list[Number]:
        if not len(self.error.known):
            return []
        error = self.error.known.mean()
        psnr = 10 * np.log10(WHITE**2 / error) if error else np.inf
        return [Number("PSNR", float(psnr), "dB"), *self.ssim.mean("SSIM", digits=4)]


class FaceSim:
    """Cosine of the angle between the ArcFace embeddings of the portrait and of each frame, -1..1."""

    def __init__(self, portrait: ndarray):
        """portrait: (E,)"""
        self.cosine = PerFrame()
        self._portrait = portrait / np.linalg.norm(portrait)

    def add(self, embedding: ndarray | None) -> None:
        """(E,), or None without a face"""
        if embedding is None:
            return self.cosine.append(np.nan)
        self.cosine.append(self._portrait @ embedding / np.linalg.norm(embedding))
