"""
Judges the talking-head videos in a folder, one for each method, against what they were asked to show. Writes
evaluation.html, evaluation.png and evaluation.json into the folder; docs/evaluation.md says what the numbers mean.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .comfyui import import_comfyui

if TYPE_CHECKING:
    from ..vexpress.comfyui.evaluate import Against

VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi")


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    import_comfyui()
    try:
        run(options)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py evaluate", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the videos are")
    parser.add_argument("--kps", type=Path, required=True, help="V-Kps asked for: .json or .safetensors")
    parser.add_argument("--real", type=Path, help="the real clip that the videos imitate")
    parser.add_argument("--portrait", type=Path, help="a picture of the person")
    parser.add_argument(
        "--models", type=Path, help="a folder laid out as ComfyUI's models/, for insightface and SyncNet"
    )
    parser.add_argument(
        "--min-score", type=float, default=0.5, help="of what is taken for a face (default: 0.5)"
    )
    return parser.parse_args(arguments)  # fmt: skip


def run(options: argparse.Namespace) -> None:
    import torch

    from .evaluation_sheet import write_sheet

    videos = find_videos(options.folder, options.real)
    if not videos:
        raise ValueError(f"{options.folder} holds no video ({', '.join(VIDEOS)}).")
    if options.models:
        import folder_paths

        folder_paths.models_dir = str(options.models)
    asked = _asked(options)
    with torch.inference_mode():
        judged = [(path, _judge(path, asked, options.min_score)) for path in videos]
    for path in write_sheet(options.folder, judged):
        print(path)
    if all(isinstance(result, str) for _, result in judged):
        raise ValueError(f"No video in {options.folder} could be judged: the sheet says why.")


def find_videos(folder: Path, real: Path | None) -> list[Path]:
    real = real and real.resolve()
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in VIDEOS and path.resolve() != real
    )


def _judge(path: Path, asked: "Against", min_score: float):
    """An Evaluation, or the sentence that says why there is none."""
    import av
    from comfy_api.latest import InputImpl

    from ..vexpress.comfyui.evaluate import evaluate
    from ..vexpress.detection import Selection
    from ..vexpress.kps_files import load_kps

    print(f"{path.name} …", flush=True)
    found = path.with_name(f"{path.stem}_kps.json")
    try:
        against = asked._replace(found=load_kps(found)) if found.exists() else asked
        return evaluate(InputImpl.VideoFromFile(str(path)), against, Selection(), min_score)
    except (OSError, ValueError, av.FFmpegError) as error:
        print(f"{path.name} is left out: {error}", flush=True)
        return str(error)


def _asked(options: argparse.Namespace) -> "Against":
    """What all videos are compared with, refused in a sentence before the first is judged."""
    import av
    import numpy as np
    import torch
    from comfy_api.latest import InputImpl
    from PIL import Image, ImageOps

    from ..vexpress.comfyui.evaluate import Against, check_portrait
    from ..vexpress.comfyui.video_frames import video_frames
    from ..vexpress.kps_files import load_kps

    real = portrait = None
    if options.real:
        real = InputImpl.VideoFromFile(str(options.real))
        try:
            video_frames(real)
        except (OSError, ValueError, av.FFmpegError) as error:
            raise ValueError(f"The real clip {options.real} cannot be used: {error}") from error
    if options.portrait:
        try:
            picture = ImageOps.exif_transpose(Image.open(options.portrait)).convert("RGB")
        except OSError as error:
            raise ValueError(f"The portrait {options.portrait} cannot be read: {error}") from error
        portrait = torch.from_numpy(np.array(picture))[None] / 255
        check_portrait(portrait, options.min_score)
    return Against(load_kps(options.kps), None, real, portrait)
