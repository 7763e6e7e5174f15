"""What a training run is told, read from a JSON file."""

import difflib
import json
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import get_args

from .dropout import DropRates
from .stages import STAGES, Stage

PRECISIONS = ("float32", "bfloat16")
KINDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
FOLDERS = ("start", "start_unet", "start_motion", "data", "output")


@dataclass(frozen=True)
class TrainingConfig:
    """One stage of training. Where a stage has its own habits (frames, clips, rates), None means those."""

    stage: int
    data: str  # folder of prepared videos
    output: str  # folder for checkpoints and log; a run that stopped goes on there
    steps: int
    start: str | None = None  # folder with the five weight files to start from, or another run's output; or:
    start_unet: str | None = None  # Stable Diffusion 1.5, as a UNet of diffusers or a whole checkpoint, with
    start_motion: str | None = None  # motion modules of AnimateDiff
    trained_stage: int = 0  # highest stage that `start` has seen, if its files do not say: 3 for the released
    frames: int | None = None
    clips: int | None = None  # per step and process
    drop_everything: float | None = None  # shares of the clips, see DropRates
    drop_reference: float | None = None
    drop_kps: float | None = None
    drop_both: float | None = None
    lip_weight: float = 3.0  # of the loss around the mouth, over the rest of the picture
    eye_weight: float = 1.0  # from brows to cheeks
    learning_rate: float = 1e-6  # as the released weights learnt
    warm_up: int = 1  # steps
    final_rate: float = 1.0  # share of learning_rate that is left at the last step, reached along a cosine
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    ema_decay: float = 0.9999
    save_every: int = 1000  # steps
    keep: int = 2  # checkpoints
    precision: str = "float32"
    processes: int | None = None  # None: one per GPU
    checkpointing: bool = False  # of gradients: less memory for more time
    prefetch: int = 1  # steps whose clips are drawn ahead
    tensorboard: bool = False  # curves beside log.csv
    seed: int = 42

    def __post_init__(self):
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), field.type)
        rules = {
            "stage": (self.stage in STAGES, "must be 1, 2 or 3"),
            "trained_stage": (0 <= self.trained_stage <= 3, "must be from 0 to 3"),
            "steps": (self.steps > 0, "must be 1 or more"),
            "frames": (self.frames is None or self.frames > 0, "must be 1 or more"),
            "clips": (self.clips is None or self.clips > 0, "must be 1 or more"),
            "lip_weight": (self.lip_weight >= 0, "must be 0 or more"),
            "eye_weight": (self.eye_weight >= 0, "must be 0 or more"),
            "learning_rate": (self.learning_rate > 0, "must be above 0"),
            "final_rate": (0 <= self.final_rate <= 1, "must be from 0 to 1"),
            "warm_up": (self.warm_up >= 0, "must be 0 or more"),
            "weight_decay": (self.weight_decay >= 0, "must be 0 or more"),
            "clip_norm": (self.clip_norm > 0, "must be above 0"),
            "ema_decay": (0 <= self.ema_decay < 1, "must be from 0 to below 1"),
            "save_every": (self.save_every > 0, "must be 1 or more"),
            "keep": (self.keep > 0, "must be 1 or more"),
            "processes": (self.processes is None or self.processes > 0, "must be 1 or more"),
            "prefetch": (self.prefetch >= 0, "must be 0 or more"),
            "seed": (0 <= self.seed < 2**32, "must be from 0 to below 2**32"),
            "precision": (self.precision in PRECISIONS, f"must be {' or '.join(PRECISIONS)}"),
        }
        for name, (kept, rule) in rules.items():
            if not kept:
                raise ValueError(f"{name} is {getattr(self, name)}; it {rule}.")
        given = [value is not None for value in (self.start, self.start_unet, self.start_motion)]
        if given not in ([True, False, False], [False, True, True]):
            raise ValueError("A run needs either start, or start_unet and start_motion.")
        rates = self.habits.rates
        if min(rates) < 0 or sum(rates) > 1 + 1e-9:  # 0.05, 0.55, 0.3 and 0.1 are a little more than 1
            raise ValueError(
                f"Clips are dropped at the rates {tuple(rates)}; they must be shares of 1 in all."
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.learning_rate * cosine_rate(step, self.steps, self.warm_up, self.final_rate)

    @property
    def habits(self) -> Stage:
        """The stage with what is set here."""
        stage = STAGES[self.stage]
        rates = DropRates(*(_or(getattr(self, f"drop_{n}"), r) for n, r in stage.rates._asdict().items()))
        return stage._replace(
            frames=_or(self.frames, stage.frames), clips=_or(self.clips, stage.clips), rates=rates
        )


def cosine_rate(step: int, steps: int, warm_up: int, final_rate: float) -> float:
    """Share of a learning rate: up in a line within `warm_up` steps, down along a cosine to `final_rate`."""
    down = (1 - math.cos(math.pi * step / max(1, steps - 1))) / 2
    return min(1.0, (step + 1) / max(1, warm_up)) * (1 - down * (1 - final_rate))


def _or(value, otherwise):
    return otherwise if value is None else value


def _check_type(name: str, value, kind) -> None:
    kinds = get_args(kind) or (kind,)
    allowed = (*kinds, int) if float in kinds else kinds
    if not isinstance(value, allowed) or isinstance(value, bool) != (bool in kinds):
        raise ValueError(f"{name} is {value!r}; it must be {KINDS[kinds[0]]}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; it must be a finite number.")


def load_config(path: Path) -> TrainingConfig:
    """Files and folders in it are relative to the file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON in UTF-8: {error}.") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold one object, {{…}}.")
    known = {field.name: field for field in fields(TrainingConfig)}
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0)[0]
            raise ValueError(f"{path} has {name}, which no run knows: is {near} meant?")
    missing = [name for name in ("stage", "data", "output", "steps") if name not in values]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}.")
    config = TrainingConfig(**values)
    given = {name: folder for name in FOLDERS if (folder := getattr(config, name)) is not None}
    return replace(config, **{name: str(path.parent / folder) for name, folder in given.items()})
