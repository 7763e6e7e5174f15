"""
Does it matter how V-Express is trained? Staged or joint, with and without conditional dropout, lips weighted or not:
small networks on drawn people whose heads nod with their voice while they are learnt from, and not in the test, so
that V-Kps can stand in for the voice and the voice is weak. One row of FOLDER/ablation.csv a measurement; a stop loses
the run that it was in.
"""

import argparse
import copy
import csv
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import ablation_table, model_shapes
from .comfyui import import_comfyui
from .model_shapes import TALKER
from .talker import DECODER, digest, ears, encoder, load_autoencoder, require_espeak
from .talker_score import SIZE, Seen, taught_measures

if TYPE_CHECKING:
    from ..vexpress.training.clips import Sample
    from ..vexpress.training.faces import Drawn

CLOSE, LEFT, TOP = 64, 32, 40  # pixels of a picture of SIZE: most of the time, eyes and mouth are inside
PEOPLE, FILMED = 600, 48  # learnt from, and frames of each
CLIPS, FRAMES = 8, 8
STAGES = {1: (600, 4), 2: (600, FRAMES), 3: (200, FRAMES)}  # steps, frames; the first sees each frame alone
COST = {1: 0.60, 2: 0.71, 3: 1.0}  # of a step: processor time, measured in turn in one process
LEARNING_RATE = 1.5e-3
GAP_TIMES = (900, 700, 400, 150)
SEEDS = (1, 2, 3)
VOICES, SECONDS, TEST_CLIPS, STEPS = 160, 8.0, 48, 10
COLUMNS = (
    "training",
    "dropout",
    "lip_weight",
    "seed",
    "equal",
    "images",
    "gap",
    "mouth",
    "kps",
    "found",
)


class Row(NamedTuple):
    training: str
    dropout: float
    lip_weight: float
    seed: int


ROWS = [
    Row(training, dropout, lips, seed)
    for seed, training, dropout, lips in itertools.product(
        SEEDS, ("staged", "joint"), (0.0, 0.15), (3.0, 1.0)
    )
]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py ablation", description=__doc__)
    parser.add_argument("talker", type=Path, help="the folder of dev.py talker, for its ears and autoencoder")
    parser.add_argument("folder", type=Path, help="where ablation.csv is kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="leave the others to another run")
    options = parser.parse_args(arguments)
    require_espeak()
    import_comfyui()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(options.talker, options.folder)
    for row in ROWS:
        if row.seed in options.seeds:
            bench.run(row)
    print("\n".join(ablation_table.table(bench.table)))
    return 0


class Bench:
    """The data, the test, and the table."""

    def __init__(self, talker: Path, folder: Path):
        from ..vexpress.training.clips import ClipFolder
        from ..vexpress.training.drawn import HELD_OUT, DrawnPeople, spoken

        self.folder, self.table = folder, folder / "ablation.csv"
        if not self.table.exists():
            self._write(COLUMNS)
        hear, autoencoder = ears(talker), load_autoencoder(talker / DECODER)
        made_with = (
            f"{digest(load_file(talker / DECODER))} {PEOPLE} {FILMED} {VOICES} {SIZE} {CLOSE} {LEFT} {TOP}"
        )
        film_people(folder / "people", hear, encoder(talker), made_with)
        self.people = ClipFolder(folder / "people")
        others = [spoken(HELD_OUT + i, SECONDS, hear) for i in range(TEST_CLIPS)]
        strangers = DrawnPeople(others, encoder(talker), SIZE, coupled=0.0, first=HELD_OUT)
        measures = taught_measures(
            folder / "ruler.safetensors", CLOSE, lambda drawn: close_picture(drawn, autoencoder), made_with
        )
        self.test = Test(strangers, autoencoder, measures)

    def run(self, row: Row) -> None:
        done = self._rows_of(row)
        if row.training == "staged" and not done:
            networks, images = self._staged(row)
            self._write([*row, "both", images, *self.test(networks)])
        if row.training == "joint" and (left := {"images", "time"} - {written[4] for written in done}):
            self._joint(row, left)

    def _staged(self, row: Row) -> tuple[object, int]:
        from ..vexpress.training.stages import begin

        networks, images = fresh_networks(row.seed), 0
        for stage, (steps, frames) in STAGES.items():
            begin(networks, stage, stage - 1)
            trainer = self._trainer(row, networks, stage, steps, frames)
            with trainer.drawn:
                for _ in range(steps):
                    trainer.take_step()
            images += steps * CLIPS * frames
            networks.load_state_dict(trainer.averaged_weights())
        return networks, images

    def _joint(self, row: Row, left: set[str]) -> None:
        """Everything at once on clips, measured after as many images and after as much time as a staged run has."""
        from ..vexpress.training.stages import begin

        networks = fresh_networks(row.seed)
        begin(networks, 1, 0)
        equal = joint_steps()
        trainer = self._trainer(row, networks, 3, max(equal.values()), FRAMES)
        with trainer.drawn:
            for name in sorted(left, key=equal.__getitem__):
                while trainer.step < equal[name]:
                    trainer.take_step()
                weights = copy.deepcopy(networks)
                weights.load_state_dict(trainer.averaged_weights())
                self._write([*row, name, trainer.step * CLIPS * FRAMES, *self.test(weights)])

    def _trainer(self, row: Row, networks, stage: int, steps: int, frames: int):
        from ..vexpress.training.config import TrainingConfig
        from ..vexpress.training.trainer import Trainer

        dropped = row.dropout / 3
        config = TrainingConfig(
            stage=stage,
            start="nothing",
            data="",
            output="",
            steps=steps,
            clips=CLIPS,
            frames=frames,
            drop_everything=0.1,
            drop_reference=dropped,
            drop_kps=dropped,
            drop_both=dropped,
            lip_weight=row.lip_weight,
            learning_rate=LEARNING_RATE,
            warm_up=50,
            ema_decay=0.995,
            seed=row.seed,
        )
        return Trainer(networks, config, self.people)

    def _rows_of(self, row: Row) -> list[list[str]]:
        with open(self.table, newline="", encoding="utf-8") as file:
            return [written for written in csv.reader(file) if written[: len(row)] == told(row)]

    def _write(self, row: Sequence) -> None:
        with open(self.table, "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(told(row))
        print(*row, flush=True)


def joint_steps() -> dict[str, int]:
    """After how many steps of everything at once it had as many images, and as much time, as a staged run."""
    images = sum(steps * frames for steps, frames in STAGES.values()) / FRAMES
    seconds = sum(steps * COST[stage] for stage, (steps, _) in STAGES.items()) / COST[3]
    return {"images": math.ceil(images), "time": math.ceil(seconds)}


def film_people(folder: Path, hear: Callable, encode: Callable, made_with: str) -> None:
    """Close-ups of many people whose heads nod with their voice, as `ClipFolder` reads them."""
    from ..vexpress.training.drawn import DrawnPeople, spoken

    whole = folder / "whole"
    if whole.exists():
        if whole.read_text(encoding="utf-8") != made_with:
            sys.exit(f"{folder} holds people filmed with another talker or otherwise: choose another folder.")
        return
    folder.mkdir(exist_ok=True)
    voices = [spoken(1 + i, SECONDS, hear) for i in range(VOICES)]
    people = DrawnPeople(voices, encode, SIZE, coupled=1.0)
    for i in range(PEOPLE):
        clip = close_up(people(FILMED, torch.Generator().manual_seed(i)))
        parts = {key: getattr(clip, key) for key in ("latents", "kps", "features", "lips")}
        save_file(parts, folder / f"{i}.safetensors")
    whole.write_text(made_with, encoding="utf-8")


def close_up(clip: "Sample") -> "Sample":
    return clip._replace(
        latents=close_latents(clip.latents),
        reference=close_latents(clip.reference),
        kps=clip.kps - torch.tensor([LEFT, TOP]),
        lips=clip.lips - torch.tensor([LEFT, TOP, LEFT, TOP]),
    )


def close_latents(latents: Tensor) -> Tensor:
    from ..vexpress.training.objective import LATENT_CELL

    left, top, size = (pixels // LATENT_CELL for pixels in (LEFT, TOP, CLOSE))
    return latents[..., top : top + size, left : left + size].contiguous()


@torch.no_grad()
def close_picture(drawn: "Drawn", autoencoder) -> Seen:
    """Through the autoencoder, as everything is that the networks make."""
    images = autoencoder.decode(close_latents(autoencoder.encode(drawn.images))).clamp(0, 1)
    return Seen(images, drawn.kps - torch.tensor([LEFT, TOP]))


def told(row: Sequence) -> list[str]:
    """As the table has it."""
    return [f"{part:.4g}" if isinstance(part, float) else str(part) for part in row]


def fresh_networks(seed: int):
    from ..vexpress.training.networks import PARTS, Networks

    parts = {part: model_shapes.rule_built(part, TALKER) for part in PARTS}
    chance = torch.Generator().manual_seed(seed)
    for weights in parts.values():  # as large as the rule makes them, and others for every seed
        for key, weight in weights.items():
            if weight.dim() > 1 and not key.endswith(".pe"):
                weight.copy_(weight.std() * torch.randn(weight.shape, generator=chance))
    return Networks(parts, "the ablation")


class Test:
    """Held-out people and voices, whose heads move as they like."""

    def __init__(self, strangers, autoencoder, measures: tuple):
        from ..vexpress.training.ruler import read
        from ..vexpress.training.step import batched

        clips = [
            close_up(strangers(FRAMES, torch.Generator().manual_seed(PEOPLE + i))) for i in range(TEST_CLIPS)
        ]
        self.batch = batched(clips, torch.device("cpu"))
        self.autoencoder, self.measures = autoencoder, measures
        ruler, _ = measures
        self.opening = [read(ruler, self._seen(latents)).opening for latents in self.batch.latents]

    @torch.no_grad()
    def __call__(self, networks) -> tuple[float, float, float, float]:
        """Audio-usage gap, correlation of the mouth, V-Kps error in pixels, share of people recognised."""
        from ..vexpress.training.ruler import Film, score

        made = (self._seen(latents) for latents in self._sampled(networks))
        asked = zip(made, self._seen(self.batch.reference), self.opening, self.batch.kps, strict=True)
        result = score([Film(*film) for film in asked], *self.measures)
        return self._gap(networks), result.mouth, result.kps, result.found

    @torch.no_grad()
    def _seen(self, latents: Tensor) -> Tensor:
        return self.autoencoder.decode(latents).clamp(0, 1)

    def _gap(self, networks) -> float:
        """How much larger the loss around the mouth is with somebody else's voice."""
        wrong = self.batch._replace(features=self.batch.features.roll(1, 0))
        right = sum(self._lip_loss(networks, self.batch, t) for t in GAP_TIMES)
        return (sum(self._lip_loss(networks, wrong, t) for t in GAP_TIMES) / right).item() - 1

    def _lip_loss(self, networks, batch, timestep: int) -> Tensor:
        from ..vexpress.training.objective import box_mask, noised, velocity
        from ..vexpress.training.step import predict

        latents, times = batch.latents, torch.full((TEST_CLIPS,), timestep)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(timestep))
        said = predict(networks, noised(latents, noise, times), times, batch, everything(TEST_CLIPS))
        lips = box_mask(batch.lips, *latents.shape[-2:])
        return ((said - velocity(latents, noise, times)).square() * lips).mean()

    def _sampled(self, networks) -> Tensor:
        """DDIM without guidance."""
        from diffusers import DDIMScheduler

        from ..vexpress.training.objective import SCHEDULE
        from ..vexpress.training.step import predict

        schedule = DDIMScheduler.from_config(SCHEDULE.config, timestep_spacing="trailing", clip_sample=False)
        schedule.set_timesteps(STEPS)
        x = torch.randn(self.batch.latents.shape, generator=torch.Generator().manual_seed(0))
        for t in schedule.timesteps:
            v = predict(networks, x, t.expand(TEST_CLIPS), self.batch, everything(TEST_CLIPS))
            x = schedule.step(v, t, x).prev_sample
        return x


def everything(clips: int):
    from ..vexpress.training.dropout import Kept

    return Kept(*(torch.ones(clips, dtype=torch.bool) for _ in range(3)))
