"""
Runs the main job on a real ComfyUI server: workflows/portrait_and_voice.json, with a portrait and a voice of
yours or with the shipped examples. The last line it prints is the path of the video.
"""

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import av
import torch
from comfy_cli.workflow_to_api import convert_ui_to_api
from PIL import Image, ImageOps

from .server import ComfyError, NodeProgress, comfy_server
from .tiny_models import LANDMARKER, write_talker, write_tiny_landmarker

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "example_inputs"
EXAMPLE_PORTRAIT = EXAMPLES / "v-express_portrait.png"
WORKFLOW = ROOT / "workflows" / "portrait_and_voice.json"
FPS = 30
LOADERS = {  # what each reads: widget -> where the released file lies
    "VExpressLoader": {
        "denoising_unet": "vexpress/denoising_unet*",
        "motion_module": "vexpress/motion_module*",
        "reference_net": "vexpress/reference_net*",
        "v_kps_guider": "vexpress/v_kps_guider*",
        "audio_projection": "vexpress/audio_projection*",
    },
    "VExpressAudioEncoderLoader": {"audio_encoder": "audio_encoders/*wav2vec2-base*"},
    "VAELoader": {"vae_name": "vae/*vae-ft-mse*"},
}
LANDMARKER_LINK = f"https://huggingface.co/Comfy-Org/mediapipe/resolve/main/{LANDMARKER}"
ENDINGS = (".safetensors", ".bin", ".pth", ".pt")
STAGES = {
    "VExpressLoader": "Loading V-Express",
    "MediaPipeFaceLandmarker": "Finding the face",
    "VExpressEncodeAudio": "Listening to the voice",
    "VExpressEncodeReference": "Reading the portrait",
    "VExpressSampler": "Denoising",
    "VAEDecode": "Decoding",
    "SaveVideo": "Writing the video",
}


Names = dict[str, dict[str, str]]  # loader node -> widget -> file


class Settings(NamedTuple):
    size: int
    steps: int
    cfg: float
    reference_weight: float
    audio_weight: float


WITH_RELEASED = Settings(size=512, steps=25, cfg=3.5, reference_weight=0.95, audio_weight=3.0)
WITH_TALKER = Settings(size=128, steps=10, cfg=1.0, reference_weight=1.0, audio_weight=0.9)


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    try:
        run(options)
    except (ComfyError, OSError, ValueError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py demo", description=__doc__)
    parser.add_argument("--portrait", type=Path, default=EXAMPLE_PORTRAIT, help="a picture of a face")
    parser.add_argument("--voice", type=Path, default=EXAMPLES / "v-express_voice.flac", help="an audio file")
    parser.add_argument("--kps", type=Path, help="V-Kps of the portrait: .json, .safetensors or .pth")
    parser.add_argument("--seconds", type=float, help="length of the video (default: the voice's)")
    parser.add_argument("--models", type=Path, help="a folder laid out as ComfyUI's models/")
    parser.add_argument("--output", type=Path, help="where the video goes (default: in the cache folder)")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    comfyui, demo = Path(os.environ["COMFYUI_PATH"]), Path(os.environ["V_EXPRESS_CACHE"]) / "demo"
    folders = _model_folders(comfyui, demo, options.models)
    released, landmarker = find_released(folders), find_landmarker(folders)
    if options.models and not released:
        patterns = [pattern for widgets in LOADERS.values() for pattern in widgets.values()]
        raise ValueError(f"{options.models} lacks one of {', '.join(patterns)}.")
    settings = WITH_RELEASED if released else WITH_TALKER
    portrait = ImageOps.exif_transpose(Image.open(options.portrait)).size
    frames = _number_of_frames(options)
    output = (options.output or demo / "output").resolve()
    output.mkdir(parents=True, exist_ok=True)
    _announce(options, bool(released), bool(landmarker), portrait, settings)

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="v-express-demo-") as base:
        models = Path(base) / "models"
        names = released or _write_talker(models)
        _provide_landmarker(landmarker, models)
        more = folders if released else []
        print("Starting ComfyUI …", flush=True)
        with comfy_server(comfyui, Path(base), more, output, _device_flags()) as server:
            _copy_inputs(options, server.input)
            prompt = convert_ui_to_api(json.loads(WORKFLOW.read_text("utf-8")), server.object_info())
            _fill_in(prompt, options, names, settings, frames)
            if options.kps:
                _load_kps(prompt, options, portrait)
            outputs = server.run(prompt, Progress(prompt))
            peak = server.peak_memory()
    seconds, size = time.monotonic() - started, settings.size
    print(f"{frames} frames of {size}x{size} in {seconds:.0f} s, {peak / 1e9:.1f} GB of memory at most.")
    print(_saved_file(outputs, output))


def _model_folders(comfyui: Path, demo: Path, chosen: Path | None) -> list[Path]:
    around = [ROOT.parents[1] / "models"] if ROOT.parent.name == "custom_nodes" else []
    folders = [chosen] if chosen else [comfyui / "models", *around, demo / "models"]
    return [folder for folder in folders if folder.is_dir()]


def find_released(folders: list[Path]) -> Names | None:
    """The released files, each in whichever folder has it."""
    files = {
        loader: {widget: _find(folders, pattern) for widget, pattern in patterns.items()}
        for loader, patterns in LOADERS.items()
    }
    if not all(file for widgets in files.values() for file in widgets.values()):
        return None
    return {
        loader: {widget: file.name for widget, file in widgets.items()} for loader, widgets in files.items()
    }


def find_landmarker(folders: list[Path]) -> Path | None:
    return _find(folders, LANDMARKER)


def _find(folders: list[Path], pattern: str) -> Path | None:
    files = (file for folder in folders for file in sorted(folder.glob(pattern)))
    return next((file for file in files if file.suffix in ENDINGS), None)


def _write_talker(models: Path) -> Names:
    write_talker(models)
    return find_released([models])


def _provide_landmarker(found: Path | None, models: Path) -> None:
    """ComfyUI looks here first, whatever the other files are."""
    write_tiny_landmarker(models)
    if found:
        shutil.copy(found, models / LANDMARKER)


def _number_of_frames(options: argparse.Namespace) -> int:
    if options.seconds:
        return max(1, round(options.seconds * FPS))
    with av.open(str(options.voice)) as voice:
        if not voice.streams.audio:
            raise ValueError(f"{options.voice} holds no sound.")
        return math.ceil((voice.duration or 0) / av.time_base * FPS - 0.001) or 1


def _announce(
    options: argparse.Namespace, released: bool, landmarker: bool, portrait: tuple, settings: Settings
) -> None:
    if not released:
        print(
            "The released weights are not there (README: First video), so the tiny talker runs in their place: it knows "
            "drawn faces of 128 pixels, no photographs."
        )
    elif _device_flags():
        print("On the CPU the released weights take hours for a second of video; --seconds makes it shorter.")
    if not (landmarker or options.kps or options.portrait == EXAMPLE_PORTRAIT):
        print(
            f"Without the landmark model ({LANDMARKER_LINK} as models/{LANDMARKER}) "
            "the face is assumed where it is in the example portrait; --kps says where it is."
        )
    shape, size = "x".join(map(str, portrait)), f"{settings.size}x{settings.size}"
    print(
        f"{options.portrait.name} is {shape}; the video of its face will be {size}, in {settings.steps} steps."
    )


def _device_flags() -> list[str]:
    return [] if torch.cuda.is_available() or torch.backends.mps.is_available() else ["--cpu"]


def _copy_inputs(options: argparse.Namespace, inputs: Path) -> None:
    shutil.copy(options.portrait, inputs / _portrait_name(options))
    shutil.copy(options.voice, inputs / _voice_name(options))
    if options.kps:
        shutil.copy(options.kps, inputs / _kps_name(options))


def _portrait_name(options: argparse.Namespace) -> str:
    return f"v-express_portrait{options.portrait.suffix}"


def _voice_name(options: argparse.Namespace) -> str:
    return f"v-express_voice{options.voice.suffix}"


def _kps_name(options: argparse.Namespace) -> str:
    return f"v-express_kps{options.kps.suffix}"


def _fill_in(
    prompt: dict, options: argparse.Namespace, names: Names, settings: Settings, frames: int
) -> None:
    """The workflow as it is, but for what was asked on the command line."""
    changes = names | {
        "LoadImage": {"image": _portrait_name(options)},
        "LoadAudio": {"audio": _voice_name(options)},
        "VExpressEncodeAudio": {"frames": frames},
        "VExpressEncodeReference": {"width": settings.size, "height": settings.size},
        "VExpressConditioning": {
            "reference_weight": settings.reference_weight,
            "audio_weight": settings.audio_weight,
        },
        "VExpressSampler": {"steps": settings.steps, "cfg": settings.cfg},
    }
    for node in prompt.values():
        node["inputs"] |= changes.get(node["class_type"], {})


def _load_kps(prompt: dict, options: argparse.Namespace, portrait: tuple[int, int]) -> None:
    """The V-Kps come from a file, so nothing is detected."""
    file = {"file": _kps_name(options), "width": portrait[0], "height": portrait[1], "fps": FPS}
    for node in prompt.values():
        if node["class_type"] == "VExpressKpsFromLandmarks":
            node |= {"class_type": "VExpressLoadKps", "inputs": file}


def _saved_file(outputs: dict, folder: Path) -> Path:
    (saved,) = (
        file for node in outputs.values() for file in node.get("images", []) if file["type"] == "output"
    )
    return folder / saved["subfolder"] / saved["filename"]


class Progress:
    """One line per stage; on a terminal it counts while the stage runs."""

    def __init__(self, prompt: dict):
        self.stages = {
            node_id: STAGES[node["class_type"]]
            for node_id, node in prompt.items()
            if node["class_type"] in STAGES
        }
        self.started: dict[str, float] = {}

    def __call__(self, nodes: list[NodeProgress]) -> None:
        for node in nodes:
            if node.node_id in self.stages:
                self._show(node)

    def _show(self, node: NodeProgress) -> None:
        seconds = time.monotonic() - self.started.setdefault(node.node_id, time.monotonic())
        finished = node.state == "finished"
        if finished or sys.stdout.isatty():
            done = node.value / node.max if node.max else 1.0
            bar = "█" * round(24 * done) + "░" * round(24 * (1 - done))
            line = f"{self.stages[node.node_id]:<23} {bar} {done:4.0%} {seconds:5.0f} s"
            print(f"\r{line}", end="\n" if finished else "", flush=True)
        if finished:
            del self.stages[node.node_id]
