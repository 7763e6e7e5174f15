"""A real server is killed in the middle of a render; the next one goes on and makes the same video."""

import os
import shutil
import threading
import time
from pathlib import Path

import av
import pytest
from pack.tools.server import ROOT, ComfyError, comfy_server
from pack.tools.tiny_models import write_tiny_models
from pack.vexpress.comfyui.unfinished import STATE
from safetensors.torch import load_file
from test_server import clip, node

PATIENCE = 300  # seconds
FRAMES = 100


def render() -> dict:
    """Parts of 40 pictures of 64 x 64."""
    graph = clip(frames=FRAMES)
    graph["reference"]["inputs"] |= {"width": 64, "height": 64}
    sampler = graph.pop("sampler")["inputs"]
    graph["short"] = node("VExpressContext", model=sampler.pop("model"), length=6, overlap=2)
    rest = {"audio": ["voice", 0], "vae": ["vae", 0], "fps": 30.0, "deflicker": True}
    graph["video"] = node("VExpressRender", model=["short", 0], **sampler, **rest)
    del graph["pictures"]
    return graph


def pictures(server, outputs: dict) -> list[bytes]:
    (saved,) = outputs["saved"]["images"]
    with av.open(str(server.base / "output" / saved["subfolder"] / saved["filename"])) as video:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in video.decode(video=0)]


def knows_of_a_part(folder: Path) -> bool:
    """A part is there a moment before the state that names it."""
    return any(len(load_file(state)["parts"]) for state in folder.glob(f"*/{STATE}"))


def kill_when_a_part_is_written(server) -> None:
    failed = []

    def run():
        with pytest.raises(ComfyError):
            server.run(render())
        failed.append(True)

    runner = threading.Thread(target=run)
    runner.start()
    deadline = time.monotonic() + PATIENCE
    while not knows_of_a_part(server.base / "output" / "vexpress" / ".resume"):
        assert runner.is_alive() and time.monotonic() < deadline
        time.sleep(0.02)
    server.process.kill()  # SIGKILL
    runner.join(PATIENCE)
    assert failed


def test_a_killed_render_goes_on_to_the_same_video(server, tmp_path):
    comfyui = Path(os.environ["COMFYUI_PATH"])
    write_tiny_models(tmp_path / "models")
    shutil.copytree(ROOT / "example_inputs", tmp_path / "input")
    with comfy_server(comfyui, tmp_path) as first:
        kill_when_a_part_is_written(first)
    with comfy_server(comfyui, tmp_path) as second:
        resumed = pictures(second, second.run(render()))
        assert "An earlier try did" in second.log.read_text("utf-8")
    assert len([*tmp_path.glob("output/vexpress/.resume/*/finished")]) == 1
    assert len(resumed) == FRAMES
    assert resumed == pictures(server, server.run(render()))
