"""
Makes training data of a folder of videos of people who talk: a .safetensors file in OUT for each clip that can be
used, and report.csv, which says what became of every one. Run again, it goes on; docs/training.md says more.
"""

import argparse
import sys
from pathlib import Path

import torch

from .comfyui import import_comfyui

WEIGHTS = (".safetensors", ".bin", ".pth", ".pt")
MIN_SCORE = 0.5  # of what is taken for a face


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    import_comfyui(cpu=not torch.cuda.is_available())
    try:
        run(options)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        sys.exit(str(error))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py prepare", description=__doc__)
    parser.add_argument("videos", type=Path, help="a folder of videos, with V-Kps beside them or without")
    parser.add_argument(
        "out", type=Path, help="folder for the prepared clips; another than that of the videos"
    )
    parser.add_argument("--models", type=Path, required=True, help="a folder laid out as ComfyUI's models/")
    parser.add_argument("--size", type=int, default=512, help="of the square pictures (default: 512)")
    parser.add_argument("--mirror", action="store_true", help="prepare every clip a second time, mirrored")
    parser.add_argument("--list", type=Path, help="a list of the clips, from a public data set")
    parser.add_argument("--layout", choices=["talkinghead-1kh", "avspeech"], help="of the list")
    parser.add_argument("--vae", help="its file in models/vae, if there are several")
    parser.add_argument("--audio-encoder", help="its file in models/audio_encoders, if there are several")
    return parser.parse_args(arguments)  # fmt: skip


def run(options: argparse.Namespace) -> None:
    from ..vexpress.training.lists import find_videos, listed_clips, whole_videos
    from ..vexpress.training.prepare import Settings, prepare
    from ..vexpress.training.tracking import track_file

    settings = Settings(options.size, options.mirror)
    if (options.list is None) != (options.layout is None):
        raise ValueError("--list and --layout belong together: one of them is missing.")
    if options.out.resolve() == options.videos.resolve():
        raise ValueError(f"OUT is {options.out}, where the videos are; choose another folder.")
    videos = find_videos(options.videos)

    def clips():
        return listed_clips(options.list, options.layout, videos) if options.list else whole_videos(videos)

    files = [_model_file(options.models / "vae", options.vae, "--vae")]
    files += [_model_file(options.models / "audio_encoders", options.audio_encoder, "--audio-encoder")]
    # Also reads the whole list, whose mistakes are better said now.
    untracked = sum(clip.file is not None and track_file(clip.file) is None for clip in clips())
    prepare(clips(), options.out, load_models(options.models, *files, bool(untracked)), settings)


def _model_file(folder: Path, name: str | None, option: str) -> Path:
    """The one that was named, or the only one."""
    found = sorted(path for path in folder.glob("*") if path.suffix in WEIGHTS)
    if name:
        found = [folder / name] if (folder / name).is_file() else []
    if not found:
        raise FileNotFoundError(f"{folder} holds no {name or 'model'}.")
    if len(found) > 1:
        raise ValueError(
            f"{folder} holds {len(found)} models: choose with {option}, for instance {found[0].name}."
        )
    return found[0]


def load_models(models: Path, vae_file: Path, ears_file: Path, detects: bool):
    import folder_paths

    from ..vexpress.audio import SAMPLE_RATE
    from ..vexpress.comfyui.audio_encoder import load_audio_encoder
    from ..vexpress.comfyui.face_detector import load_detector
    from ..vexpress.training.prepare import Models

    folder_paths.models_dir = str(models)
    ears = load_audio_encoder(str(ears_file))
    return Models(
        load_detector(MIN_SCORE) if detects else None,
        _load_vae(vae_file),
        lambda voice: ears.encode_audio(voice[None], SAMPLE_RATE)["encoded_audio"],
        {"vae": vae_file.name, "audio_encoder": ears_file.name},
    )


def _load_vae(file: Path):
    """What makes pictures latents as the UNet expects them."""
    from comfy.latent_formats import SD15
    from comfy.sd import VAE

    from ..vexpress.comfyui.files import load_checkpoint

    vae = VAE(sd=load_checkpoint(str(file)))
    if vae.first_stage_model is None or vae.latent_channels != 4:
        raise ValueError(f"{file.name} is no VAE of Stable Diffusion 1.5.")
    return lambda pictures: SD15().process_in(vae.encode(pictures))
