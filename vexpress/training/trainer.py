"""The loop of training: clips in, weights out."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from ..comfyui.disk import said_in_a_sentence
from .ahead import DrawnAhead
from .checkpointing import compute_again
from .clips import BrokenClip, DrawClip, Sample
from .config import TrainingConfig
from .log import Measured, TrainingLog, open_curves
from .networks import Networks, load_networks, trained_stage
from .saving import damaged, newest_checkpoint, restore, save_checkpoint
from .stable_diffusion import first_parts
from .stages import begin, trained_parameters
from .step import Chance, Weights, batch_loss, batched, chance_of_step, draw_chance

BROKEN_IN_A_ROW = 100


class Loss(nn.Module):
    """A batch's loss as a module, whose gradients can be averaged over processes."""

    def __init__(self, networks: Networks, config: TrainingConfig):
        super().__init__()
        self.networks, self.config = networks, config

    def forward(self, batch: Sample, chance: Chance) -> Tensor:
        weights = Weights(self.config.lip_weight, self.config.eye_weight)
        half = self.config.precision == "bfloat16"
        with torch.autocast(batch.latents.device.type, torch.bfloat16, enabled=half):
            return batch_loss(self.networks, batch, chance, weights)


class Trainer:
    """A run's networks, optimizer and moving average.

    All chance in a step comes from the seed, the step's number and the process's, so there is no generator's state
    to keep. Of several processes (see `processes.join`) each has a trainer, and they stay alike.
    """

    def __init__(
        self,
        networks: Networks,
        config: TrainingConfig,
        draw_clip: DrawClip,
        tell: Callable[[str], None] = print,
        behind: int = 0,
    ):
        """behind: the highest stage that the networks had seen before this run"""
        if config.habits.frames > networks.unet.max_frames:
            raise ValueError(
                f"frames is {config.habits.frames}; the motion modules know {networks.unet.max_frames} at most."
            )
        self.networks, self.config, self.draw_clip, self.tell = networks, config, draw_clip, tell
        self.device = next(networks.parameters()).device
        self.trained_stage = max(config.stage, behind)
        self.trained = trained_parameters(networks, config.stage)
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), weight_decay=config.weight_decay, fused=True
        )
        self.ema = EMAModel(self.trained.values(), decay=config.ema_decay, foreach=True)
        self.step = 0
        self.drawn = DrawnAhead(self._draw, config.prefetch, config.steps)
        if config.checkpointing:
            compute_again(networks)
        dropped = DistributedDataParallelKwargs(find_unused_parameters=True, gradient_as_bucket_view=True)
        self.accelerator = Accelerator(cpu=self.device.type == "cpu", kwargs_handlers=[dropped])
        self.loss = self.accelerator.prepare(Loss(networks, config))

    def take_step(self) -> Measured:
        return self.learn(*self.drawn.take(self.step))

    def _draw(self, step: int) -> tuple[Sample, Chance]:
        habits = self.config.habits
        generator = chance_of_step(self.config.seed, self.config.stage, step, self.accelerator.process_index)
        clips = [self._next_clip(habits.frames, generator) for _ in range(habits.clips)]
        batch = batched(clips, self.device)
        return batch, draw_chance(batch.latents.shape, habits.rates, generator)

    def learn(self, batch: Sample, chance: Chance) -> Measured:
        config, parameters = self.config, self.trained.values()
        loss = self.loss(batch, chance)
        self.optimizer.zero_grad()
        loss.backward()
        loss = self.accelerator.reduce(loss.detach(), "mean")
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        if not norm.isfinite():
            raise FloatingPointError(
                f"The loss of step {self.step + 1} is {loss.item()}, its gradient's norm {norm.item()}: "
                "lower learning_rate and run again, which goes on from the last checkpoint."
            )
        rate = config.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.ema.step(parameters)
        self.step += 1
        return Measured(loss.item(), norm.item(), rate)

    def _next_clip(self, frames: int, generator: torch.Generator) -> Sample:
        for _ in range(BROKEN_IN_A_ROW):
            try:
                return self.draw_clip(frames, generator)
            except BrokenClip as error:
                self.tell(f"Skipped: {error}")
        raise ValueError(f"{BROKEN_IN_A_ROW} clips in a row could not be used; the last lines name them.")

    def averaged_weights(self) -> dict[str, Tensor]:
        """By the networks' own names, what a released file is to hold."""
        return self.networks.state_dict() | dict(zip(self.trained, self.ema.shadow_params, strict=True))


def train(
    config: TrainingConfig, draw_clip: DrawClip, device: torch.device, tell: Callable[[str], None] = print
) -> None:
    """Run a stage to its end, or go on with it from its newest checkpoint."""
    output = Path(config.output)
    trainer = open_run(config, draw_clip, device, tell)
    with trainer.drawn, said_in_a_sentence(output):
        if trainer.accelerator.is_main_process:
            _train_and_save(trainer, output)
        else:
            while trainer.step < config.steps:
                trainer.take_step()


def _train_and_save(trainer: Trainer, output: Path) -> None:
    config, tell = trainer.config, trainer.tell
    curves = open_curves(output, trainer.step, tell) if config.tensorboard else None
    with TrainingLog(output, trainer.step, curves) as log:
        while trainer.step < config.steps:
            started = time.monotonic()
            measured = trainer.take_step()
            tell(log.add(config, trainer.step, measured, time.monotonic() - started))
            if trainer.step % config.save_every == 0 or trainer.step == config.steps:
                save_checkpoint(trainer, output)


def open_run(
    config: TrainingConfig, draw_clip: DrawClip, device: torch.device, tell: Callable[[str], None]
) -> Trainer:
    newest = newest_checkpoint(Path(config.output))
    if newest is not None:
        try:
            networks = load_networks(newest).to(device)
        except (ValueError, FileNotFoundError) as error:
            raise damaged(newest) from error
        trainer = Trainer(networks, config, draw_clip, tell, trained_stage(newest))
        restore(trainer, newest)
        tell(f"Going on from {newest}.")
        return trainer
    networks, behind = first_networks(config)
    begin(networks, config.stage, behind)
    return Trainer(networks.to(device), config, draw_clip, tell, behind)


def first_networks(config: TrainingConfig) -> tuple[Networks, int]:
    """What a run starts from, and the highest stage that it has seen."""
    if config.start is None:
        unet, motion = Path(config.start_unet), Path(config.start_motion)
        parts = first_parts(unet, motion, config.seed)
        return Networks(parts, f"{unet.name} with {motion.name}"), config.trained_stage
    start = newest_checkpoint(Path(config.start)) or Path(config.start)
    return load_networks(start), max(config.trained_stage, trained_stage(start))
