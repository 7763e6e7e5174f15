"""
FID and FVD of sets of talking-head videos: how far the pictures, and the clips of 16, of each folder MADE are from those of
the folder REAL. docs/evaluation.md says what is needed and what the numbers mean.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .comfyui import import_comfyui
from .evaluate import find_videos

CLIP = 16  # pictures that FVD looks at together
SIDE = 224  # pixels of a picture for I3D
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION}"
I3D = "i3d_torchscript.pt"
I3D_URL = f"https://www.dropbox.com/s/ge9e5ujwgetktms/{I3D}?dl=1"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py evaluate_sets", description=__doc__)
    parser.add_argument("real", type=Path, help="a folder of real videos")
    parser.add_argument("made", type=Path, nargs="+", help="a folder of videos of one method")
    parser.add_argument(
        "--models", type=Path, required=True, help=f"holds inception/{INCEPTION} for FID, i3d/{I3D} for FVD"
    )
    options = parser.parse_args(arguments)
    import_comfyui(cpu=not torch.cuda.is_available())
    try:
        run(options.real, options.made, options.models)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    return 0


@torch.inference_mode()
def run(real: Path, made: Sequence[Path], models: Path) -> None:
    folders = {folder: find_videos(folder, None) for folder in (real, *made)}
    for folder, videos in folders.items():
        if not videos:
            raise ValueError(f"{folder} holds no video.")
    distances = list(_distances(models))
    if not distances:
        raise ValueError("Nothing can be computed without at least one of these files.")
    _add(folders[real], distances, real=True)
    print(f"{real}: {', '.join(distance.size(real=True) for distance in distances)}", flush=True)
    for folder in made:
        _add(folders[folder], distances, real=False)
        print(f"{folder}: {'; '.join(map(str, distances))}", flush=True)
        for distance in distances:
            distance.metric.reset()


def _distances(models: Path) -> "Iterator[Distance]":
    for kind, file, url in (
        (InceptionDistance, models / "inception" / INCEPTION, INCEPTION_URL),
        (VideoDistance, models / "i3d" / I3D, I3D_URL),
    ):
        if file.is_file():
            yield kind(file)
        else:
            print(f"Not computed: {kind.name}. Put {url} into {file.parent} ({kind.terms}).", flush=True)


def _add(videos: list[Path], distances: "list[Distance]", real: bool) -> None:
    """Videos that cannot be read are named and left out."""
    import av
    from comfy_api.latest import InputImpl

    from ..vexpress.comfyui.video_frames import video_frames

    for path in videos:
        try:
            frames = iter(video_frames(InputImpl.VideoFromFile(str(path))))
            while pictures := list(islice(frames, CLIP)):
                batch = torch.from_numpy(np.stack(pictures)).movedim(-1, 1)
                for distance in distances:
                    distance.add(batch, real)
        except (OSError, ValueError, av.FFmpegError) as error:
            print(f"{path.name} is left out from here on: {error}", flush=True)


class Distance:
    """Of two sets by the mean and covariance of a network's features (Heusel et al. 2017)."""

    name: str
    terms: str
    unit: str
    features: int

    def __init__(self, **network):
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.metric = FrechetInceptionDistance(reset_real_features=False, **network).to(self.device)

    def add(self, pictures: Tensor, real: bool) -> None:
        """pictures: (N, 3, H, W) uint8, at most 16 in a row of one video"""
        self.metric.update(pictures.to(self.device), real=real)

    def size(self, real: bool) -> str:
        return f"{self._count(real)} {self.unit}"

    def _count(self, real: bool) -> int:
        kind = "real" if real else "fake"
        return int(getattr(self.metric, f"{kind}_features_num_samples"))

    def __str__(self) -> str:
        if min(self._count(True), self._count(False)) < 2:
            return f"no {self.name}, which takes two {self.unit} at least"
        few = min(self._count(True), self._count(False)) < self.features
        doubt = f", too few to trust: they should be more than {self.features}" if few else ""
        return f"{self.name} {self.metric.compute().item():.2f} ({self.size(real=False)}{doubt})"


class InceptionDistance(Distance):
    name, terms, unit, features = "FID", "Apache-2.0", "pictures", 2048

    def __init__(self, file: Path):
        from ..vexpress.comfyui.files import load_checkpoint

        with tempfile.TemporaryDirectory() as folder:  # torch-fidelity would run what a pickle tells it to
            safe = Path(folder) / file.name
            torch.save(load_checkpoint(str(file)), safe)
            super().__init__(feature=self.features, feature_extractor_weights_path=str(safe), antialias=False)


class VideoDistance(Distance):
    """Unterthiner et al. 2018, on clips that do not overlap."""

    name, terms, unit, features = (
        "FVD",
        "terms not stated; a program, so only from where you trust",
        f"clips of {CLIP}",
        400,
    )

    def __init__(self, file: Path):
        super().__init__(feature=VideoFeatures(file))

    def add(self, pictures: Tensor, real: bool) -> None:
        if len(pictures) == CLIP:
            small = F.interpolate(pictures.float(), (SIDE, SIDE), mode="bilinear")
            super().add((small / 127.5 - 1).movedim(0, 1)[None], real)


class VideoFeatures(nn.Module):
    """I3D, taught on Kinetics-400."""

    num_features = VideoDistance.features

    def __init__(self, file: Path):
        super().__init__()
        try:
            self.i3d = torch.jit.load(str(file), map_location="cpu").eval()
        except RuntimeError as error:
            raise ValueError(f"{file} is damaged or no TorchScript: download it again.") from error

    def forward(self, clips: Tensor) -> Tensor:
        """(N, 3, 16, 224, 224) -1..1 -> (N, 400)"""
        return self.i3d(clips, rescale=False, resize=False, return_features=True)
