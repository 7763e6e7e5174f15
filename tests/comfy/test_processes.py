"""Two processes on the CPU, as `python dev.py train` starts them, learn what one learns from the clips of both."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pack.vexpress.training.clips import ClipFolder
from pack.vexpress.training.config import load_config
from pack.vexpress.training.dropout import Kept
from pack.vexpress.training.networks import load_networks
from pack.vexpress.training.processes import launch, number_of_processes
from pack.vexpress.training.saving import STATE, newest_checkpoint
from pack.vexpress.training.step import Chance, batched, chance_of_step, draw_chance
from pack.vexpress.training.trainer import Trainer, open_run
from random_clips import CPU, quiet, write_video
from safetensors.torch import load_file
from test_train_tool import run_train

STEPS = 4


@pytest.fixture(autouse=True)
def no_gradients():
    """Unlike a node, training needs gradients."""


@pytest.fixture(scope="module")
def values(checkpoints, tmp_path_factory):
    videos = tmp_path_factory.mktemp("videos")
    write_video(videos, "a.safetensors", 40)
    write_video(videos, "b.safetensors", 50)
    return dict(
        stage=1,
        start=str(checkpoints),
        data=str(videos),
        output="run",
        steps=STEPS,
        save_every=2,
        frames=1,
        clips=2,
        drop_reference=0.3,
        drop_kps=0.3,
        learning_rate=2e-5,  # Adam turns what is rounded into steps of this size
        processes=2,
    )


@pytest.fixture(scope="module")
def whole(values, tmp_path_factory):
    """The folder of a run that was not stopped."""
    folder = tmp_path_factory.mktemp("whole")
    done = run_train(folder, **values)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"step {STEPS}/{STEPS}") == 1
    return folder


def learn_together(config) -> Trainer:
    """One process that takes the clips of two as one batch."""
    videos, habits = ClipFolder(Path(config.data)), config.habits
    trainer = open_run(replace(config, output=config.output + "-alone"), videos, CPU, quiet)
    for step in range(config.steps):
        clips, chances = [], []
        for process in range(2):
            generator = chance_of_step(config.seed, config.stage, step, process)
            own = [videos(habits.frames, generator) for _ in range(habits.clips)]
            shape = (len(own), *own[0].latents.shape)
            chances.append(draw_chance(shape, habits.rates, generator))
            clips += own
        noise, timesteps, kept = (list(part) for part in zip(*chances, strict=True))
        kept = Kept(*(torch.cat(part) for part in zip(*kept, strict=True)))
        trainer.learn(batched(clips, CPU), Chance(torch.cat(noise), torch.cat(timesteps), kept))
    return trainer


def test_two_processes_learn_what_one_learns_from_the_clips_of_both(whole, values):
    config = load_config(whole / "train.json")
    trainer = learn_together(config)
    start = load_networks(Path(config.start)).state_dict()
    learnt = load_file(newest_checkpoint(whole / "run") / STATE)
    moved = 0.0
    for name, expected in trainer.trained.items():
        torch.testing.assert_close(learnt[f"weights.{name}"], expected.detach(), rtol=0, atol=1e-5)
        moved = max(moved, float((expected.detach() - start[name]).abs().max()))
    assert moved > 7e-5


def test_two_processes_go_on_as_if_they_had_not_stopped(whole, values, tmp_path):
    for steps in (2, STEPS):
        done = run_train(tmp_path, **values | {"steps": steps})
        assert done.returncode == 0, done.stderr
    assert "Going on from" in done.stdout
    for file in newest_checkpoint(whole / "run").iterdir():
        expected, result = load_file(file), load_file(newest_checkpoint(tmp_path / "run") / file.name)
        assert all(result[key].equal(expected[key]) for key in expected), file.name


def test_no_run_stage_step_or_process_draws_what_another_draws():
    drawn = {
        int(torch.randint(2**62, (), generator=chance_of_step(seed, stage, step, process)))
        for seed in (42, 43)
        for stage in (1, 2, 3)
        for step in range(100)
        for process in range(8)
    }
    assert len(drawn) == 2 * 3 * 100 * 8


def test_what_all_processes_complain_of_is_said_once(values, tmp_path):
    done = run_train(tmp_path, **values | {"stage": 2})
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.count("Stage 2 continues stage 1") == 1


def test_a_process_that_fails_takes_the_others_with_it(capfd, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    script = "import os, sys, time; time.sleep(60) if os.environ['RANK'] == '0' else sys.exit('No clips.')"
    assert launch(2, ["python3", "-c", script]) == 1
    assert capfd.readouterr().err == "No clips.\n"


def test_a_process_that_the_system_ends_is_said(capfd, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    script = "import os, time; time.sleep(60) if os.environ['RANK'] == '0' else os.kill(os.getpid(), 9)"
    assert launch(2, ["python3", "-c", script]) == -9
    assert capfd.readouterr().err == "Process 1 was ended by SIGKILL, as happens when memory runs out.\n"


@pytest.mark.parametrize(
    "gpus, asked, nccl, number",
    [(0, None, True, 1), (0, 2, False, 2), (4, None, True, 4), (4, 1, True, 1), (4, None, False, 1)],
)
def test_there_is_a_process_for_each_gpu_where_they_can_talk(gpus, asked, nccl, number, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: nccl)
    assert number_of_processes(asked) == number


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    with pytest.raises(ValueError, match="processes is 4; it must be 2 or less"):
        number_of_processes(4)
