"""The shipped workflows: on a real server and from a shell; test_browser.py opens them in the frontend."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import av
import pytest
from comfy_cli.workflow_to_api import convert_ui_to_api
from pack.tools.server import PACK_NAME
from pack.tools.templates import FACE_RESTORER, made

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
BLUEPRINT = ROOT / "subgraphs" / "V-Express Talking Head.json"
FRAMES, SIZE, STEPS = 6, 128, 2
TITLE = 30  # pixels, above a node
SAMPLERS = ("VExpressSampler", "VExpressRender", "VExpressScheduler", "KSampler")


class Made(NamedTuple):
    """What a shortened workflow makes."""

    width: int = SIZE
    height: int = SIZE
    frames: int = FRAMES
    fps: int = 30


USUAL = Made()
MADE = {
    "any_photo_crop_and_paste": Made(1200, 800),  # the example photo, which is kept
    "dub_a_video": Made(256, 256),
    "half_frame_rate": Made(frames=2 * FRAMES - 1),
    "two_people": Made(1024, 512),
    "upscale_and_interpolate": Made(2 * SIZE, 2 * SIZE, 2 * FRAMES - 1, 60),
}

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
portrait_workflows = pytest.mark.parametrize(
    "path", [path for path in WORKFLOWS if path.stem.startswith("portrait")], ids=lambda path: path.stem
)


def read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def types(path: Path) -> list[str]:
    return sorted(node["type"] for node in read(path)["nodes"])


def subgraphs(workflow: dict) -> list[dict]:
    return workflow.get("definitions", {}).get("subgraphs", [])


def nodes_of(workflow: dict) -> list[dict]:
    """Those inside of subgraphs too."""
    return [node for graph in (workflow, *subgraphs(workflow)) for node in graph["nodes"]]


def shortened(workflow: dict) -> dict:
    """The same graph for a small, short, rough video."""
    instances = {graph["id"] for graph in subgraphs(workflow)}
    for node in nodes_of(workflow):
        kind, values = node["type"], node.get("widgets_values")
        if kind == "VExpressEncodeAudio":
            values[1] = FRAMES
        elif kind == "VExpressEncodeReference":
            values[:] = [SIZE, SIZE]
        elif kind == "Video Slice":
            values[1] = FRAMES / 30
        elif kind == "VExpressKpsFromLandmarks":
            values[values.index(10) + 1] = 0  # the stand-in sees one face in every picture: no second
        elif kind in SAMPLERS:
            values[values.index(25)] = STEPS
        elif kind in instances:
            widgets = [entry["name"] for entry in node["inputs"] if "widget" in entry]
            values[widgets.index("frames")], values[widgets.index("steps")] = FRAMES, STEPS
    return workflow


def without_the_face_restorer(prompt: dict) -> dict:
    """What it was given goes on as it is, as with ComfyUI's Bypass."""
    restorers = {number: node for number, node in prompt.items() if node["class_type"] in FACE_RESTORER}
    for number, node in restorers.items():
        del prompt[number]
        for other in prompt.values():
            for name, value in other["inputs"].items():
                if value == [number, 0]:
                    other["inputs"][name] = node["inputs"].get("image")
    return prompt


def prompt_of(workflow: dict, server) -> dict:
    return convert_ui_to_api(workflow, server.object_info() | FACE_RESTORER)


def check_video(path: Path, expected: Made = USUAL) -> None:
    with av.open(str(path)) as video:
        pictures = [(frame.width, frame.height) for frame in video.decode(video=0)]
        assert pictures == [(expected.width, expected.height)] * expected.frames
        assert video.streams.video[0].average_rate == expected.fps
        assert len(video.streams.audio) == 1
        seconds = float(video.streams.audio[0].duration * video.streams.audio[0].time_base)
        assert seconds == pytest.approx(expected.frames / expected.fps, abs=1 / 30)


@each_workflow
def test_a_workflow_makes_a_video_with_sound(server, path):
    prompt = without_the_face_restorer(prompt_of(shortened(read(path)), server))
    files = [file for output in server.run(prompt).values() for file in output.get("images", [])]
    (saved,) = (file for file in files if file["type"] == "output")
    video = server.base / "output" / saved["subfolder"] / saved["filename"]
    check_video(video, MADE.get(path.stem, USUAL))


def test_the_workflows_are_what_their_source_makes(server):
    """After a change of nodes or of tools/templates: python dev.py templates"""
    files = made(server.object_info())
    assert set(files) == {*WORKFLOWS, *BLUEPRINT.parent.glob("*.json")}
    assert [path.name for path, text in files.items() if text != path.read_text("utf-8")] == []


def test_nothing_in_a_workflow_overlaps():
    for graph in (graph for path in WORKFLOWS for graph in (read(path), *subgraphs(read(path)))):
        boxes = [(*node["pos"], *node["size"]) for node in graph["nodes"]]
        boxes = [(x, y - TITLE, x + width, y + height) for x, y, width, height in boxes]
        for one, other in itertools.combinations(boxes, 2):
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@each_workflow
def test_v_kps_of_a_videos_frames_know_the_videos_frame_rate(path):
    workflow = read(path)
    nodes, sources = {n["id"]: n for n in workflow["nodes"]}, {link[0]: link[1] for link in workflow["links"]}

    def linked(node: dict, name: str) -> dict | None:
        (link,) = (socket["link"] for socket in node["inputs"] if socket["name"] == name)
        return nodes.get(sources.get(link))

    for node in nodes.values():
        if node["type"] == "VExpressKpsFromLandmarks":
            pictures = linked(linked(node, "landmarks"), "image")
            if pictures["type"] == "GetVideoComponents":
                assert linked(node, "fps") == pictures


def test_comfyui_offers_the_talking_head_as_a_node(server):
    """Without its definition every user would see an error."""
    (offered,) = (
        each for each in server.get("/global_subgraphs").items() if each[1]["source"] == "custom_node"
    )
    number, entry = offered
    assert (entry["name"], entry["info"]["node_pack"]) == (BLUEPRINT.stem, f"custom_nodes.{PACK_NAME}")
    served = json.loads(server.get(f"/global_subgraphs/{number}")["data"])
    (definition,) = subgraphs(served)
    assert [node["type"] for node in served["nodes"]] == [definition["id"]]
    assert definition == subgraphs(read(ROOT / "workflows" / "talking_head.json"))[0]


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


def saved_videos(server) -> set[Path]:
    return {path for path in (server.base / "output").rglob("*.mp4") if ".resume" not in path.parts}


@portrait_workflows
def test_comfy_cli_runs_a_workflow(server, path, tmp_path):
    before = saved_videos(server)
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
    (video,) = saved_videos(server) - before
    check_video(video)


@each_workflow
def test_every_model_has_a_link_under_the_name_its_loader_asks_for(path):
    loaders = [node for node in nodes_of(read(path)) if "models" in node["properties"]]
    for node in loaders:
        models = node["properties"]["models"]
        asked = [value for value in node["widgets_values"] if Path(value).suffix]
        assert [model["name"] for model in models] == asked
        assert all(model["url"].startswith("https://huggingface.co/") for model in models)
    expected = {"VAELoader", "VExpressAudioEncoderLoader", "VExpressLoader"}
    further = {"LoadMediaPipeFaceLandmarker", "FrameInterpolationModelLoader", "UpscaleModelLoader"}
    kinds = {node["type"] for node in nodes_of(read(path))}
    assert {node["type"] for node in loaders} == expected | (kinds & further)


def test_comfyui_lists_the_workflows_as_templates_with_pictures(server):
    (listed,) = (names for pack, names in server.get("/workflow_templates").items() if pack == PACK_NAME)
    assert sorted(listed) == [path.stem for path in WORKFLOWS]
    assert all(path.with_suffix(".jpg").exists() for path in WORKFLOWS)
