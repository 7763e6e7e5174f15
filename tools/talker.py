"""
Teaches the tiny talker from nothing: ears, an autoencoder and the three stages, on drawn people, as
tiny_talker/recipe.json says. A run that stopped goes on. Writes tiny_talker/talker.safetensors.xz at the end.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import model_shapes
from .comfyui import import_comfyui
from .model_shapes import TALKER

RECIPE = Path(__file__).resolve().parents[1] / "tiny_talker" / "recipe.json"
STAGES = (
    "stage_1",
    "stage_2",
    "stage_3",
    "stage_3_again",
    "stage_3_lips",
    "stage_3_faces",
    "stage_3_calm",
    "stage_3_eyes",
    "stage_3_last",
)
ONCE_MORE = STAGES[-2:]  # what the shipped talker can be taught again
STEPS = ("hearing", "autoencoder", "decoder", *STAGES, "file")
SHIPPED = "shipped"  # folder of the shipped talker's networks
EARS, AUTOENCODER, DECODER = "wav2vec2.safetensors", "autoencoder.safetensors", "decoder.safetensors"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py talker", description=__doc__)
    parser.add_argument("folder", type=Path, help="where everything half-done is kept")
    parser.add_argument("--until", choices=STEPS, default=STEPS[-1], help="the last step to take")
    parser.add_argument(
        "--shipped",
        action="store_true",
        help="begin with the shipped talker and take only the last two stages",
    )
    parser.add_argument("--threads", type=int, help="(default: as many as the machine has)")
    options = parser.parse_args(arguments)
    require_espeak()
    import_comfyui()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.shipped:
        unpack_shipped(options.folder)
    recipe = json.loads(RECIPE.read_text(encoding="utf-8"))
    for step in STEPS[: STEPS.index(options.until) + 1]:
        print(f"== {step}", flush=True)
        take(step, recipe, options.folder)
    return 0


def require_espeak() -> None:
    """Without it, people would be drawn to babble, and all numbers would be others."""
    from ..vexpress.training.speech import check_espeak

    try:
        check_espeak()
    except FileNotFoundError as error:
        sys.exit(str(error))


def digest(tensors: dict[str, Tensor]) -> str:
    """Of weights, to tell what was made with others."""
    code = hashlib.sha256()
    for key in sorted(tensors):
        code.update(key.encode() + tensors[key].contiguous().numpy().tobytes())
    return code.hexdigest()[:16]


def take(step: str, recipe: dict, folder: Path) -> None:
    if step == "hearing":
        teach_hearing(recipe, folder)
    elif step in ("autoencoder", "decoder"):
        teach_autoencoder(step, recipe, folder)
    elif step == "file":
        from .talker_file import write_talker_file

        write_talker_file(folder)
    else:
        teach_stage(step, recipe, folder)


def teach_hearing(recipe: dict, folder: Path) -> None:
    from ..vexpress.training.drawn import HELD_OUT, voice_of
    from ..vexpress.training.hearing import learn_to_hear, untrained

    if (folder / EARS).exists():
        return
    habits, config = recipe["hearing"], model_shapes.wav2vec2_config(TALKER)
    heard = [voice_of(recipe["seed"] + i, habits["seconds"]) for i in range(habits["voices"])]
    held_out = [voice_of(HELD_OUT + i, habits["seconds"]) for i in range(32)]
    network = untrained(config, recipe["seed"])
    explained = learn_to_hear(network, heard, held_out, habits["steps"])
    print(f"R² of what it says about voices it has not heard: {explained:.3f}")
    write_ears(folder, network.state_dict())


def teach_autoencoder(part: str, recipe: dict, folder: Path) -> None:
    from ..vexpress.training.autoencoder import Autoencoder
    from ..vexpress.training.autoencoder_run import AutoencoderConfig, teach

    output = folder / f"{part}.safetensors"
    if output.exists():
        return
    torch.manual_seed(recipe["seed"])
    autoencoder = Autoencoder()
    if part == "decoder":
        autoencoder.load_state_dict(load_file(folder / AUTOENCODER))
    config = AutoencoderConfig(
        **recipe[part], size=recipe["size"], seed=recipe["seed"], decoder_only=part == "decoder"
    )
    average = teach(autoencoder, config, folder / f"{part}-run.safetensors", _tell)
    with made_whole(output) as unfinished:
        save_file({key: weight.contiguous() for key, weight in average.items()}, unfinished)


def teach_stage(step: str, recipe: dict, folder: Path) -> None:
    from ..vexpress.training.config import TrainingConfig
    from ..vexpress.training.networks import PARTS
    from ..vexpress.training.trainer import train

    start = folder / ("stage_0", *STAGES)[STAGES.index(step)]
    if (folder / SHIPPED).exists():
        if step not in ONCE_MORE:
            return
        if step == ONCE_MORE[0]:
            start = folder / SHIPPED
    if (folder / step / f"step-{recipe[step]['steps']:08d}").exists():
        return  # before the voices are listened to
    if step == STAGES[0] and not start.exists():
        with made_whole(start) as unfinished:
            unfinished.mkdir()
            for part in PARTS:
                save_file(model_shapes.rule_built(part, TALKER), unfinished / f"{part}.safetensors")
    config = TrainingConfig(
        stage=int(step.split("_")[1]),
        start=str(start),
        data="",
        output=str(folder / step),
        seed=recipe["seed"] + STAGES.index(step),
        **recipe[step],
    )
    train(config, drawn_people(recipe, folder), torch.device("cpu"), Sparse())


def unpack_shipped(folder: Path) -> None:
    """What was made on the way to the shipped file."""
    from ..vexpress.training.networks import PARTS, TRAINED_STAGE
    from .talker_file import stored_weights, talker_weights

    if (folder / SHIPPED).exists() and (folder / EARS).exists():
        return
    if (folder / EARS).exists():
        sys.exit(f"{folder} holds a talker of its own: choose another folder for the shipped one.")
    weights = talker_weights()
    with made_whole(folder / SHIPPED) as unfinished:
        unfinished.mkdir(parents=True)
        for part in PARTS:
            save_file(weights[part], unfinished / f"{part}.safetensors", {TRAINED_STAGE: "3"})
    for name in (AUTOENCODER, DECODER):
        save_file(stored_weights("vae"), folder / name)
    write_ears(folder, weights["wav2vec2"])


def write_ears(folder: Path, weights: dict[str, Tensor]) -> None:
    config = json.dumps(model_shapes.wav2vec2_config(TALKER))
    (folder / EARS).with_suffix(".json").write_text(config, encoding="utf-8")
    with made_whole(folder / EARS) as unfinished:
        save_file({key: weight.contiguous() for key, weight in weights.items()}, unfinished)


@contextlib.contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Where to make a file or a folder that takes its name, and its place, when it is done."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    yield unfinished
    if path.is_dir():
        shutil.rmtree(path)
    os.replace(unfinished, path)


def drawn_people(recipe: dict, folder: Path) -> Callable:
    """The data source of all stages."""
    from ..vexpress.training.drawn import DrawnPeople, spoken

    hear, habits = ears(folder), recipe["hearing"]
    voices = [spoken(recipe["seed"] + i, habits["seconds"], hear) for i in range(habits["voices"])]
    return DrawnPeople(voices, encoder(folder), recipe["size"])


def ears(folder: Path) -> Callable[[Tensor], Tensor]:
    from ..vexpress.comfyui.audio_encoder import load_audio_encoder

    return load_audio_encoder(str(folder / EARS)).patcher.model


def encoder(folder: Path) -> Callable[[Tensor], Tensor]:
    autoencoder = load_autoencoder(folder / AUTOENCODER).to(memory_format=torch.channels_last)

    def encode(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return autoencoder.encode(images.to(memory_format=torch.channels_last)).float()

    return encode


def load_autoencoder(path: Path):
    from ..vexpress.training.autoencoder import Autoencoder

    autoencoder = Autoencoder()
    autoencoder.load_state_dict(load_file(path))
    return autoencoder


def _tell(line: str) -> None:
    print(line, flush=True)


class Sparse:
    """Tells one step in 25, and all that is no step."""

    def __init__(self):
        self.said = 0

    def __call__(self, line: str) -> None:
        if not line.startswith("stage ") or self.said % 25 == 0:
            _tell(line)
        self.said += line.startswith("stage ")
