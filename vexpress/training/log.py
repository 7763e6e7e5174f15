"""What a run tells: a row per step in log.csv, and a line to look at."""

import csv
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..comfyui.disk import replace
from .config import TrainingConfig

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLUMNS = ("step", "stage", "loss", "gradient_norm", "learning_rate", "seconds_per_step", "seconds_left")
SMOOTHING = 0.9  # of the seconds per step


class Measured(NamedTuple):
    """What one step gave."""

    loss: float
    gradient_norm: float
    learning_rate: float


class TrainingLog:
    """Rows beyond `step`, of steps that are taken again after a stop, are dropped."""

    def __init__(self, folder: Path, step: int, curves: "SummaryWriter | None" = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.csv"
        rows = []
        if self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if row and row[0].isdigit() and int(row[0]) <= step]
        unfinished = self.path.with_suffix(".unfinished")
        with open(unfinished, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        replace(unfinished, self.path)
        self.file = open(self.path, "a", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)
        self.curves = curves
        self.seconds: float | None = None

    def add(self, config: TrainingConfig, step: int, measured: Measured, seconds: float) -> str:
        """The line to show."""
        self.seconds = (
            seconds if self.seconds is None else self.seconds * SMOOTHING + seconds * (1 - SMOOTHING)
        )
        left = (config.steps - step) * self.seconds
        self.writer.writerow([step, config.stage, *measured, round(self.seconds, 4), round(left)])
        self.file.flush()
        if self.curves is not None:
            for name, value in measured._asdict().items():
                self.curves.add_scalar(name, value, step)
        return (
            f"stage {config.stage}  step {step}/{config.steps}  loss {measured.loss:.4f}  "
            f"gradient {measured.gradient_norm:.3g}  {self.seconds:.2f} s/step  "
            f"{timedelta(seconds=round(left))} left"
        )

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *_) -> None:
        self.file.close()
        if self.curves is not None:
            self.curves.close()


def open_curves(folder: Path, step: int, tell: Callable[[str], None]) -> "SummaryWriter | None":
    """For TensorBoard, where it is installed. Points beyond `step` are dropped."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        tell("The package tensorboard is not installed, so the curves are in log.csv alone.")
        return None
    return SummaryWriter(folder / "tensorboard", purge_step=step + 1)
