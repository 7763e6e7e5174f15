"""Puts the real ComfyUI first on the path, on the CPU; without COMFYUI_PATH this folder is skipped."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

COMFYUI_PATH = os.environ.get("COMFYUI_PATH")
cache = Path(
    os.environ.get("V_EXPRESS_CACHE") or Path(tempfile.gettempdir()) / "v-express"
)  # kept afterwards
screenshots = Path(os.environ.get("V_EXPRESS_SCREENSHOTS") or cache / "screenshots")

if COMFYUI_PATH:
    sys.path.insert(0, COMFYUI_PATH)
    from comfy.cli_args import args

    args.cpu = True
    args.use_pytorch_cross_attention = True  # on the CPU many times faster than ComfyUI's default
    base = tempfile.TemporaryDirectory(prefix="comfyui-")  # the user's own folders stay as they are
    args.base_directory = base.name

    from pack.vexpress.comfyui.folders import register_model_folder

    register_model_folder()

collect_ignore_glob = [] if COMFYUI_PATH else ["*"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where CI is set, a test that needs a browser fails rather than being skipped."""
    report = yield
    if report.skipped and os.environ.get("CI") and "browser" in item.fixturenames:
        report.outcome, report.longrepr = "failed", f"{report.longrepr[-1]}, but CI is set."
    return report


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


@pytest.fixture(scope="module")
def model(checkpoints):
    """The MODEL of the tiny networks."""
    from models import tiny_model

    return tiny_model(checkpoints)


@pytest.fixture(scope="module")
def portrait(checkpoints):
    """What ReferenceNet sees in the golden portrait, 128 x 128."""
    import torch
    from models import golden, tiny_reference_net
    from pack.vexpress.comfyui.model import Portrait

    with torch.inference_mode():
        net = tiny_reference_net(checkpoints)
        return Portrait(net.reference_features(golden("loops")["reference_latents"] / 0.18215), 128, 128)


@pytest.fixture(scope="module")
def short_windows(checkpoints):
    """The MODEL of the tiny networks with windows of 6 frames that share 2."""
    from models import tiny_model
    from pack.vexpress.comfyui.context import set_context

    return set_context(tiny_model(checkpoints), 6, 2)


@pytest.fixture(scope="module")
def small_portrait(checkpoints):
    """What ReferenceNet sees in a corner of the golden portrait, 64 x 64."""
    import torch
    from models import golden, tiny_reference_net
    from pack.vexpress.comfyui.model import Portrait

    with torch.inference_mode():
        net = tiny_reference_net(checkpoints)
        latents = golden("loops")["reference_latents"][..., :8, :8] / 0.18215
        return Portrait(net.reference_features(latents), 64, 64)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A real ComfyUI server with this pack, small stand-ins for the released files, and the examples as input."""
    from pack.tools.server import comfy_server

    with comfy_server(Path(COMFYUI_PATH), server_folder(tmp_path_factory)) as running:
        yield running


@pytest.fixture(scope="session")
def troubled(tmp_path_factory):
    """The same for tests that bring it into trouble, with another pack beside this one."""
    from pack.tools.server import comfy_server
    from trouble import renders_anew

    folder = server_folder(tmp_path_factory)
    shutil.copytree(Path(__file__).parent / "other_pack", folder / "custom_nodes" / "other_pack")
    with comfy_server(Path(COMFYUI_PATH), folder) as running:
        yield renders_anew(running)


@pytest.fixture(scope="session")
def good(troubled):
    """The pictures of `trouble.job()`, made while that server was fresh."""
    from trouble import job, pictures

    return pictures(troubled, troubled.run(job()))


@pytest.fixture(scope="session")
def second(troubled, tmp_path_factory):
    """Another server that shares packs, models and output folder with `troubled`."""
    from pack.tools.server import comfy_server
    from trouble import renders_anew

    folder = tmp_path_factory.mktemp("second")
    shutil.copytree(troubled.input, folder / "input")
    shared = [troubled.base, troubled.base / "models"]  # the first for its custom_nodes
    with comfy_server(Path(COMFYUI_PATH), folder, shared, troubled.output, install=False) as running:
        yield renders_anew(running)


def server_folder(tmp_path_factory) -> Path:
    from pack.tools.server import ROOT
    from pack.tools.tiny_models import write_tiny_models

    folder = tmp_path_factory.mktemp("server")
    write_tiny_models(folder / "models")
    shutil.copytree(ROOT / "example_inputs", folder / "input")
    return folder


@pytest.fixture(scope="session")
def browser() -> tuple[str, Path]:
    """Chromium, and the folder of node modules that drives it."""
    from pack.tools.browser import BrowserMissing, ensure_playwright, find_chromium

    try:
        return find_chromium(), ensure_playwright(cache)
    except BrowserMissing as missing:
        pytest.skip(str(missing))
