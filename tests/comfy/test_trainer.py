"""Runs of training: they learn, stop, go on, and leave files that load."""

import resource
import shutil
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from models import tiny_model, tiny_reference_net
from pack.vexpress.comfyui.loader import UNUSED_BY_REFERENCE_NET
from pack.vexpress.training import trainer
from pack.vexpress.training.clips import BrokenClip
from pack.vexpress.training.config import TrainingConfig
from pack.vexpress.training.dropout import Kept
from pack.vexpress.training.networks import load_networks, trained_stage
from pack.vexpress.training.saving import STATE, newest_checkpoint
from pack.vexpress.training.stages import begin
from pack.vexpress.training.step import Chance, Weights, batched
from pack.vexpress.training.trainer import Trainer, train
from random_clips import CPU, SIZE, changed, draw_clip, quiet, weights_of
from safetensors.torch import load_file


@pytest.fixture(autouse=True)
def no_gradients():
    """Unlike a node, training needs gradients."""


@pytest.fixture
def config(checkpoints, tmp_path):
    return TrainingConfig(
        stage=2,
        start=str(checkpoints),
        data="",
        output=str(tmp_path / "run"),
        steps=4,
        trained_stage=1,
        frames=3,
        clips=2,
        learning_rate=1e-3,
        save_every=2,
    )


@pytest.mark.parametrize("stage, frames", [(1, 1), (2, 3), (3, 3)])
def test_a_stage_learns_a_clip_by_heart(stage, frames, checkpoints, config):
    networks = load_networks(checkpoints)
    begin(networks, stage, stage - 1)
    before = weights_of(networks)
    config = replace(config, stage=stage, frames=frames, learning_rate=2e-3)
    trainer = Trainer(networks, config, draw_clip, quiet)
    batch = batched([draw_clip(frames, torch.Generator().manual_seed(i)) for i in range(2)], CPU)
    noise = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(2))
    everything = Kept(*(torch.tensor([True, True]) for _ in range(3)))
    chance = Chance(noise, torch.tensor([900, 600]), everything)
    losses = [trainer.learn(batch, chance).loss for _ in range(6)]
    assert losses[-1] < 0.9 * losses[0]
    assert changed(before, networks) <= set(trainer.trained)


def test_lips_and_eyes_count_as_the_config_says(config, monkeypatch):
    seen = []
    monkeypatch.setattr(trainer, "batch_loss", lambda networks, batch, chance, weights: seen.append(weights))
    batch = batched([draw_clip(3, torch.Generator())], CPU)
    trainer.Loss(torch.nn.Module(), replace(config, lip_weight=2.0, eye_weight=5.0))(batch, None)
    trainer.Loss(torch.nn.Module(), config)(batch, None)
    assert seen == [Weights(lips=2.0, eyes=5.0), Weights(lips=3.0, eyes=1.0)]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(config):
    whole = replace(config, output=config.output + "-whole")
    train(whole, draw_clip, CPU, quiet)
    drawn = count()

    def stopped_in_the_fourth_step(frames, generator):
        if next(drawn) == 3 * config.clips:
            raise KeyboardInterrupt
        return draw_clip(frames, generator)

    with pytest.raises(KeyboardInterrupt):
        train(config, stopped_in_the_fourth_step, CPU, quiet)
    assert newest_checkpoint(Path(config.output)).name == "step-00000002"
    train(config, draw_clip, CPU, quiet)
    for file in (newest_checkpoint(Path(whole.output))).iterdir():
        expected, result = load_file(file), load_file(newest_checkpoint(Path(config.output)) / file.name)
        assert expected.keys() == result.keys()
        assert all(result[key].equal(expected[key]) for key in expected), file.name
    steps = [row.split(",")[:4] for row in (Path(config.output) / "log.csv").read_text().split()]
    assert steps == [row.split(",")[:4] for row in (Path(whole.output) / "log.csv").read_text().split()]
    assert [row[0] for row in steps] == ["step", "1", "2", "3", "4"]


def test_every_step_has_clips_of_its_own(config, checkpoints):
    drawn = []

    def remembered(frames, generator):
        drawn.append(draw_clip(frames, generator))
        return drawn[-1]

    trainer = Trainer(load_networks(checkpoints), replace(config, prefetch=0), remembered, quiet)
    trainer.take_step()
    trainer.take_step()
    firsts = {float(clip.latents[0, 0, 0, 0]) for clip in drawn}
    assert len(firsts) == len(drawn) == 4


def test_checkpoints_load_as_the_released_files_do(config, checkpoints):
    train(config, draw_clip, CPU, quiet)
    folder = newest_checkpoint(Path(config.output))
    assert trained_stage(folder) == 2
    for part in ("reference_net", "v_kps_guider", "denoising_unet", "motion_module", "audio_projection"):
        trained, start = (load_file(f / f"{part}.safetensors") for f in (folder, checkpoints))
        unused = set(UNUSED_BY_REFERENCE_NET) if part == "reference_net" else set()
        assert trained.keys() == start.keys() - unused
        learnt = {key for key in trained if not trained[key].equal(start[key])}
        assert bool(learnt) == (part in ("denoising_unet", "motion_module", "audio_projection")), part
    with torch.inference_mode():
        tiny_model(folder)
        tiny_reference_net(folder)


def test_clips_that_are_drawn_ahead_change_nothing(config):
    for prefetch in (0, 3):
        train(replace(config, prefetch=prefetch, output=f"{config.output}-{prefetch}"), draw_clip, CPU, quiet)
    states = [load_file(newest_checkpoint(Path(f"{config.output}-{p}")) / STATE) for p in (0, 3)]
    assert all(states[0][key].equal(states[1][key]) for key in states[0])


def test_checkpointing_is_switched_on_by_the_config(config):
    train(replace(config, checkpointing=True), draw_clip, CPU, quiet)
    assert trained_stage(newest_checkpoint(Path(config.output))) == 2


def test_curves_go_on_where_the_run_does(config, monkeypatch):
    class Writer:
        def __init__(self, folder, purge_step):
            self.opened, self.points, self.closed = (folder, purge_step), [], False
            writers.append(self)

        def add_scalar(self, name, value, step):
            self.points.append((name, step))

        def close(self):
            self.closed = True

    writers = []
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    for steps in (2, 4):
        train(replace(config, tensorboard=True, steps=steps), draw_clip, CPU, quiet)
    folder = Path(config.output) / "tensorboard"
    assert [writer.opened for writer in writers] == [(folder, 1), (folder, 3)]
    assert all(writer.closed for writer in writers)
    names = ("loss", "gradient_norm", "learning_rate")
    assert writers[1].points == [(name, step) for step in (3, 4) for name in names]


def test_without_tensorboard_the_run_says_so_and_goes_on(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said = []
    train(replace(config, tensorboard=True, steps=1), draw_clip, CPU, said.append)
    assert said[0] == "The package tensorboard is not installed, so the curves are in log.csv alone."
    assert said[-1].startswith("stage 2  step 1/1")


def test_only_the_newest_checkpoints_are_kept(config):
    train(replace(config, save_every=1, keep=2), draw_clip, CPU, quiet)
    assert sorted(path.name for path in Path(config.output).glob("step-*")) == [
        "step-00000003",
        "step-00000004",
    ]


def test_what_a_stage_learnt_is_what_the_next_starts_from(config, tmp_path):
    train(config, draw_clip, CPU, quiet)
    before = load_networks(newest_checkpoint(Path(config.output))).state_dict()
    after = replace(
        config, stage=3, start=config.output, output=str(tmp_path / "third"),
        trained_stage=0, steps=1, learning_rate=1e-12,
    )  # fmt: skip
    train(after, draw_clip, CPU, quiet)
    networks = load_networks(newest_checkpoint(Path(after.output)))
    for name, weight in networks.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=1e-6)


def test_an_output_of_another_stage_is_refused(config):
    train(config, draw_clip, CPU, quiet)
    with pytest.raises(ValueError, match="holds a run of stage 2: choose another output for stage 3"):
        train(replace(config, stage=3), draw_clip, CPU, quiet)


@pytest.mark.parametrize("name", ["trainer.safetensors", "reference_net.safetensors"])
@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:99]), Path.unlink])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_gone_on_from(config, name, damage):
    train(config, draw_clip, CPU, quiet)
    newest = newest_checkpoint(Path(config.output))
    damage(newest / name)
    with pytest.raises(
        ValueError, match=f"{newest} is damaged: remove that folder, and the run goes on from"
    ):
        train(config, draw_clip, CPU, quiet)
    shutil.rmtree(newest)
    train(config, draw_clip, CPU, quiet)
    assert newest_checkpoint(Path(config.output)) == newest


def test_a_full_disk_leaves_the_last_checkpoint(config):
    train(replace(config, steps=2), draw_clip, CPU, quiet)
    saved = newest_checkpoint(Path(config.output))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="^The disk is full, so .*run could not be written"):
            train(config, draw_clip, CPU, quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in Path(config.output).glob("step-*")] == [saved.name]
    train(config, draw_clip, CPU, quiet)
    assert newest_checkpoint(Path(config.output)).name == "step-00000004"


def test_a_loss_that_is_no_number_stops_before_it_does_harm(config, checkpoints):
    def broken(frames, generator):
        return draw_clip(frames, generator)._replace(latents=torch.full((frames, 4, SIZE, SIZE), torch.nan))

    networks = load_networks(checkpoints)
    before = weights_of(networks)
    with pytest.raises(FloatingPointError, match="The loss of step 1 is nan.*lower learning_rate"):
        Trainer(networks, config, broken, quiet).take_step()
    assert not changed(before, networks)


def test_broken_clips_are_skipped_and_named(config):
    def sometimes(frames, generator):
        if torch.rand((), generator=generator) < 0.5:
            raise BrokenClip("a.mp4 has no face.")
        return draw_clip(frames, generator)

    said = []
    train(replace(config, steps=2), sometimes, CPU, said.append)
    assert "Skipped: a.mp4 has no face." in said
    assert said[-1].startswith("stage 2  step 2/2  loss ")


def test_a_source_without_a_usable_clip_ends_the_run(config, checkpoints):
    def nothing(frames, generator):
        raise BrokenClip("a.mp4 has no face.")

    with pytest.raises(ValueError, match="100 clips in a row could not be used"):
        Trainer(load_networks(checkpoints), config, nothing, quiet).take_step()


def test_more_frames_than_the_motion_modules_know_are_refused_before_the_first_step(config):
    with pytest.raises(ValueError, match="^frames is 40; the motion modules know 32 at most.$"):
        train(replace(config, frames=40), draw_clip, CPU, quiet)
