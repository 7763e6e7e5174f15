"""`python custom_nodes/v-express/tools convert`, as the README has it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from models import PARTS
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path):
    """A ComfyUI with a link to this pack in its custom_nodes."""
    comfyui = tmp_path / "ComfyUI"
    (comfyui / "custom_nodes").mkdir(parents=True)
    (comfyui / "custom_nodes" / "v-express").symlink_to(ROOT)
    for file in Path(os.environ["COMFYUI_PATH"]).iterdir():
        if file.name not in ("custom_nodes", "models"):
            (comfyui / file.name).symlink_to(file)
    return comfyui


def run_convert(tools, folder, cwd, **environ):
    environ = {key: value for key, value in os.environ.items() if key != "COMFYUI_PATH"} | environ
    command = [sys.executable, tools, "convert", folder]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True)


def test_the_command_in_the_readme_converts_a_folder(checkpoints, installed):
    folder = installed / "models" / "vexpress"
    folder.mkdir(parents=True)
    for part in PARTS:
        torch.save(load_file(checkpoints / f"{part}.safetensors"), folder / f"{part}.bin")
    done = run_convert("custom_nodes/v-express/tools", "models/vexpress", cwd=installed)
    assert done.returncode == 0, done.stderr
    assert sorted(file.stem for file in folder.glob("*.safetensors")) == sorted(PARTS)


def test_converting_finds_the_comfyui_that_it_is_told(checkpoints, tmp_path):
    torch.save(load_file(checkpoints / "v_kps_guider.safetensors"), tmp_path / "v_kps_guider.bin")
    done = run_convert(ROOT / "tools", tmp_path, cwd=tmp_path)
    assert done.returncode == 1 and "is no ComfyUI" in done.stderr and "Traceback" not in done.stderr
    done = run_convert(ROOT / "tools", tmp_path, cwd=tmp_path, COMFYUI_PATH=os.environ["COMFYUI_PATH"])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "v_kps_guider.safetensors").exists()
