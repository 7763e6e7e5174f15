"""The shipped workflows: on a real server and from a shell; test_browser.py opens them in the frontend."""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest
from comfy_cli.workflow_to_api import convert_ui_to_api
from pack.tools.server import PACK_NAME

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
FRAMES, SIZE, STEPS = 6, 128, 2
PHOTO = (1200, 800)  # of the example, which any_photo_crop_and_paste keeps

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
portrait_workflows = pytest.mark.parametrize(
    "path", [path for path in WORKFLOWS if path.stem.startswith("portrait")], ids=lambda path: path.stem
)


def read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def types(path: Path) -> list[str]:
    return sorted(node["type"] for node in read(path)["nodes"])


def shortened(workflow: dict) -> dict:
    """The same graph for a small, short, rough video."""
    widgets = {node["type"]: node.get("widgets_values") for node in workflow["nodes"]}
    widgets["VExpressEncodeAudio"][1] = FRAMES
    widgets["VExpressEncodeReference"][:] = [SIZE, SIZE]
    sampler = widgets.get("VExpressSampler") or widgets["VExpressRender"]
    sampler[sampler.index(25)] = STEPS
    return workflow


def check_video(path: Path, size: tuple[int, int] = (SIZE, SIZE), frames: int = FRAMES) -> None:
    with av.open(str(path)) as video:
        pictures = [(frame.width, frame.height) for frame in video.decode(video=0)]
        assert pictures == [size] * frames
        assert video.streams.video[0].average_rate == 30
        assert len(video.streams.audio) == 1
        assert float(video.streams.audio[0].duration * video.streams.audio[0].time_base) == pytest.approx(
            frames / 30, abs=1 / 30
        )


@each_workflow
def test_a_workflow_makes_a_video_with_sound(server, path):
    outputs = server.run(convert_ui_to_api(shortened(read(path)), server.object_info()))
    files = [file for output in outputs.values() for file in output.get("images", [])]
    (saved,) = (file for file in files if file["type"] == "output")
    size = PHOTO if "VExpressPasteFace" in types(path) else (SIZE, SIZE)
    frames = 2 * FRAMES - 1 if "FrameInterpolate" in types(path) else FRAMES
    check_video(server.base / "output" / saved["subfolder"] / saved["filename"], size, frames)


def test_v_express_speed_sets_the_steps_of_a_workflow(server):
    workflow = shortened(read(ROOT / "workflows" / "portrait_and_voice.json"))
    prompt = convert_ui_to_api(workflow, server.object_info())
    ((number, sampler),) = (item for item in prompt.items() if item[1]["class_type"] == "VExpressSampler")
    preset = "draft: 8 steps, guidance on the first half"
    prompt["speed"] = {
        "class_type": "VExpressSpeed",
        "inputs": {"model": sampler["inputs"]["model"], "preset": preset},
    }
    sampler["inputs"] |= {"model": ["speed", 0], "steps": ["speed", 1]}
    steps = set()
    server.run(prompt, lambda nodes: steps.update(node.max for node in nodes if node.node_id == number))
    assert max(steps) == 8


@portrait_workflows
def test_comfy_cli_runs_a_workflow(server, path, tmp_path):
    before = set((server.base / "output").rglob("*.mp4"))
    workflow = tmp_path / path.name
    workflow.write_text(json.dumps(shortened(read(path))), "utf-8")
    comfy = Path(sys.executable).with_name("comfy")
    command = [comfy, "--skip-prompt", "--no-json", "run", "--workflow", workflow, "--wait"]
    quiet = {"DO_NOT_TRACK": "1", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, "--host", "127.0.0.1", "--port", str(server.port), "--timeout", "300"],
        env=os.environ | quiet,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (video,) = set((server.base / "output").rglob("*.mp4")) - before
    check_video(video)


@each_workflow
def test_every_model_has_a_link_under_the_name_its_loader_asks_for(path):
    loaders = [node for node in read(path)["nodes"] if "models" in node["properties"]]
    for node in loaders:
        models = node["properties"]["models"]
        asked = [value for value in node["widgets_values"] if Path(value).suffix]
        assert [model["name"] for model in models] == asked
        assert all(model["url"].startswith("https://huggingface.co/") for model in models)
    expected = ["VAELoader", "VExpressAudioEncoderLoader", "VExpressLoader"]
    if "MediaPipeFaceLandmarker" in types(path):
        expected = ["LoadMediaPipeFaceLandmarker", *expected]
    if "FrameInterpolate" in types(path):
        expected = ["FrameInterpolationModelLoader", *expected]
    assert sorted(node["type"] for node in loaders) == expected


def test_comfyui_lists_the_workflows_as_templates_with_pictures(server):
    (listed,) = (names for pack, names in server.get("/workflow_templates").items() if pack == PACK_NAME)
    assert sorted(listed) == [path.stem for path in WORKFLOWS]
    assert all(path.with_suffix(".jpg").exists() for path in WORKFLOWS)
