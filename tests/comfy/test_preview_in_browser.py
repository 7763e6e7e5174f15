"""The pack's scripts in the real frontend: the preview plays, text is whole, sockets have colours, nothing is saved."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from test_workflows import ROOT, read, shortened

FRAMES = 14
KPS_COLOUR = "#26b8a5"


@pytest.fixture(scope="module", params=["classic", "vue"])
def seen(request, server, browser, tmp_path_factory) -> dict:
    """What is found while a workflow runs twice, and then in a subgraph."""
    workflow = shortened(read(ROOT / "workflows" / "portrait_and_voice.json"))
    widgets = {node["type"]: node.get("widgets_values") for node in workflow["nodes"]}
    widgets["VExpressEncodeAudio"][1] = FRAMES
    widgets["VExpressSampler"][2] = 6
    path = tmp_path_factory.mktemp("preview") / "workflow.json"
    path.write_text(json.dumps(workflow), "utf-8")
    script = Path(__file__).with_name("watch_preview.cjs")
    chromium, playwright = browser
    done = subprocess.run(
        ["node", script, server.url, chromium, request.param, path],
        env=os.environ | {"NODE_PATH": str(playwright)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("run", ["first", "second", "subgraph"])
def test_the_preview_plays_on_the_node(seen, run):
    assert seen[run]["ended"] == "execution_success"
    assert set(seen[run]["frames"]) == {FRAMES}
    assert seen[run]["moved"] and seen[run]["shown"] == 1
    assert seen[run]["widgets"] <= 1


@pytest.mark.parametrize("run", ["first", "second", "subgraph"])
def test_it_leaves_nothing_in_workflows(seen, run):
    cores = [value for value in seen[run]["changed"] if "video-preview" in value]  # of Save Video
    assert seen[run]["changed"] == cores


@pytest.mark.parametrize("run", ["first", "second", "subgraph"])
def test_animations_are_let_go_once_they_have_been_shown(seen, run):
    assert seen[run]["held"] <= 1 + (run == "subgraph")  # ComfyUI keeps the last one


def test_a_long_text_is_shown_whole(seen):
    assert seen["text"]["hidden"] <= 0 and seen["text"]["over"] <= 0


def test_sockets_keep_their_colours_in_every_palette(seen):
    for colours in seen["palettes"].values():
        assert (colours["dot"], colours["link"], colours["vue"]) == (KPS_COLOUR,) * 3
    assert len({colours["others"] for colours in seen["palettes"].values()}) == len(seen["palettes"])


def test_no_script_fails(seen):
    assert seen["errors"] == []
