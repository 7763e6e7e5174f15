"""Puts the real ComfyUI first on the path, on the CPU; without COMFYUI_PATH this folder is skipped."""

import os
import sys
import tempfile

import pytest

COMFYUI_PATH = os.environ.get("COMFYUI_PATH")

if COMFYUI_PATH:
    sys.path.insert(0, COMFYUI_PATH)
    from comfy.cli_args import args

    args.cpu = True
    base = tempfile.TemporaryDirectory(prefix="comfyui-")  # the user's own folders stay as they are
    args.base_directory = base.name

    from pack.vexpress.comfyui.folders import register_model_folder

    register_model_folder()

collect_ignore_glob = [] if COMFYUI_PATH else ["*"]


@pytest.fixture(autouse=True)
def no_gradients():
    """As ComfyUI runs its nodes."""
    import torch

    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A folder with the five released files, tiny."""
    from models import write_checkpoints

    return write_checkpoints(tmp_path_factory.mktemp("vexpress"))
