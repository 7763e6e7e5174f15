"""`python dev.py train CONFIG` from prepared videos to checkpoints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pack.tools import train
from random_clips import write_video

ROOT = Path(__file__).parents[2]


def run_train(folder: Path, **values) -> subprocess.CompletedProcess:
    (folder / "train.json").write_text(json.dumps(values))
    command = [sys.executable, ROOT / "tools", "train", folder / "train.json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_stage_is_trained_and_its_successor_starts_from_it(checkpoints, tmp_path):
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos", "a.safetensors", 40)
    common = dict(data="videos", steps=2, frames=2, clips=2)
    done = run_train(tmp_path, stage=1, start=str(checkpoints), output="first", **common)
    assert done.returncode == 0, done.stderr
    assert "stage 1  step 2/2  loss " in done.stdout
    done = run_train(tmp_path, stage=2, start="first", output="second", **common)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "second" / "step-00000002" / "motion_module.safetensors").exists()


def test_a_stage_without_the_one_before_is_one_sentence(checkpoints, tmp_path):
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos", "a.safetensors", 40)
    done = run_train(tmp_path, stage=2, start=str(checkpoints), output="out", data="videos", steps=2)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.strip().startswith("Stage 2 continues stage 1")
    assert not (tmp_path / "out").exists()


def test_a_gpu_whose_memory_runs_out_is_one_sentence(monkeypatch, tmp_path):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(train, "train", full)
    config = dict(stage=1, start="a", data="videos", output="out", steps=1)
    (tmp_path / "train.json").write_text(json.dumps(config))
    with pytest.raises(SystemExit, match='^The memory of the GPU ran out: set "checkpointing": true'):
        train.main([str(tmp_path / "train.json")])
