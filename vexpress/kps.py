"""V-Kps: left eye, right eye and nose of a face, frame by frame. They are what moves the head."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

ASPECT_TOLERANCE = 0.01
MOST_FRAMES = 1_000_000  # nine hours
LARGEST_SIDE = 1 << 16  # pixels
FARTHEST = 1e6  # pixels from the picture's corner
FASTEST = 1000  # frames per second
CROP = "cut the face out with V-Express Crop Face (VExpressCropFace) first"


@dataclass(frozen=True, eq=False)
class Kps:
    """
    points:        (F, 3, 2) left eye, right eye, nose as seen in the picture; x, y in pixels, float32
    width, height: of the picture the pixels belong to
    fps:           frames per second
    detector:      what found the points, if known; two detectors differ by a constant bias
    """

    points: Tensor
    width: int
    height: int
    fps: float = 30.0
    detector: str | None = None

    def __post_init__(self):
        shape = tuple(self.points.shape)
        if len(shape) != 3 or shape[1:] != (3, 2) or shape[0] == 0:
            raise ValueError(f"V-Kps points have the shape {shape}, not (frames, 3, 2).")
        if shape[0] > MOST_FRAMES:
            raise ValueError(f"V-Kps have {shape[0]} frames, and {MOST_FRAMES} are the most.")
        self._check(~self.points.isfinite(), "that is not a finite number")
        self._check(self.points.abs() > FARTHEST, f"more than {FARTHEST:.0f} pixels away")
        if not (1 <= self.width <= LARGEST_SIDE and 1 <= self.height <= LARGEST_SIDE):
            raise ValueError(
                f"V-Kps need a picture of 1x1 to {LARGEST_SIDE}x{LARGEST_SIDE} pixels, not {self.width}x{self.height}."
            )
        if not 0 < self.fps <= FASTEST:
            raise ValueError(f"V-Kps need a frame rate above 0 and up to {FASTEST}, not {self.fps}.")
        object.__setattr__(self, "points", self.points.detach().to("cpu", torch.float32))

    def _check(self, broken: Tensor, how: str) -> None:
        """broken: (F, 3, 2) bool"""
        if broken.any():
            frame = int(broken.flatten(1).any(1).nonzero()[0])
            raise ValueError(f"Frame {frame} of the V-Kps has a point {how}.")

    def __len__(self) -> int:
        return len(self.points)

    def outside(self) -> Tensor:
        """Frames with a point beyond the picture: (F,) bool"""
        size = torch.tensor([self.width, self.height])
        return ((self.points < 0) | (self.points >= size)).flatten(1).any(1)

    def scaled(self, width: int, height: int, what: str = "V-Kps", remedy: str = CROP) -> "Kps":
        """The same face in a picture of another size but the same shape; else what and remedy are told."""
        check_same_aspect(what, (self.width, self.height), (width, height), remedy)
        scale = torch.tensor([width / self.width, height / self.height])
        return replace(self, points=self.points * scale, width=width, height=height)

    def expanded(self, frames: int) -> "Kps":
        """A single frame stands for the whole clip; a track must have as many frames as the clip."""
        if len(self) not in (1, frames):
            raise ValueError(
                f"kps has {len(self)} frames, the clip {frames}: set frames of Retarget V-Kps to the frames that "
                "V-Express Encode Audio returns."
            )
        return replace(self, points=self.points.expand(frames, 3, 2))

    def interpolated(self, frames: int) -> "Kps":
        """The first `frames` frames stretched to that number, as the reference implementation does."""
        track = self.points[:frames].flatten(1).T[None]  # (F, 3, 2) -> (1, 6, F)
        track = F.interpolate(track, size=frames, mode="linear", align_corners=False)
        return replace(self, points=track[0].T.reshape(frames, 3, 2))

    def resampled(self, frames: int, fps: float) -> "Kps":
        """The same movement at another frame rate; longer is cut, shorter holds its last frame."""
        position = torch.arange(frames, dtype=torch.float64) * self.fps / fps
        position = position.clamp(max=len(self) - 1)
        before = position.long()
        after = (before + 1).clamp(max=len(self) - 1)
        weight = (position - before).float()[:, None, None]
        return replace(self, points=torch.lerp(self.points[before], self.points[after], weight), fps=fps)


def check_same_aspect(what: str, size: tuple[int, int], target: tuple[int, int], remedy: str = CROP) -> None:
    """Refuses to squash a face; sizes are (width, height)."""
    (width, height), (target_width, target_height) = size, target
    if abs(width * target_height / (height * target_width) - 1) > ASPECT_TOLERANCE:
        raise ValueError(
            f"{what} of {width}x{height} pixels cannot become {target_width}x{target_height}: the aspect ratios differ by "
            f"more than 1 %, so {remedy}."
        )
