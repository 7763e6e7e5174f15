"""What somebody sees in ComfyUI's real frontend; browse.cjs goes through it once, the tests look at what it saw."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import screenshots
from pack.tools.browser import drive
from test_workflows import ROOT, SIZE, WORKFLOWS, each_workflow, prompt_of, read, shortened, types

STANDARD = ROOT / "workflows" / "portrait_and_voice.json"
FRONTEND_ONLY = ("MarkdownNote", "Note", "Reroute", "PrimitiveNode")
DOCS = ROOT / "web" / "docs"
ENGLISH = [DOCS / "VExpressSampler" / "en.md", DOCS / "VExpressSampler.md"]  # as the frontend asks for them
CHINESE = DOCS / "VExpressSampler" / "zh.md"
TITLES = ROOT / "locales" / "zh" / "nodeDefs.json"


@pytest.fixture(scope="session")
def walk(server, browser, foreign, tmp_path_factory) -> dict[str, dict]:
    """What each step of browse.cjs has seen."""
    shutil.rmtree(screenshots, ignore_errors=True)
    screenshots.mkdir(parents=True)
    short = tmp_path_factory.mktemp("short") / "short.json"
    short.write_text(json.dumps(shortened(read(STANDARD))), "utf-8")
    chromium, playwright = browser
    task = {
        "url": server.url,
        "chromium": chromium,
        "pictures": screenshots,
        "workflows": sorted(WORKFLOWS, key=foreign),  # complaints of missing nodes stay in sight
        "short_workflow": short,
        "photo_workflow": ROOT / "workflows" / "any_photo_crop_and_paste.json",
    }
    return drive(Path(__file__).with_name("browse.cjs"), task, playwright)


@pytest.fixture
def saw(walk):
    """What one step has seen, unless it could not be taken."""

    def seen(step: str) -> dict:
        assert "failed" not in walk[step], walk[step]["failed"]
        return walk[step]

    return seen


@pytest.fixture(scope="session")
def foreign(server):
    """Nodes of other packs in a workflow, which are not here."""
    known = {*server.object_info(), *FRONTEND_ONLY}

    def kinds(path: Path) -> list[str]:
        subgraphs = [graph["id"] for graph in read(path).get("definitions", {}).get("subgraphs", [])]
        return [kind for kind in types(path) if kind not in known and kind not in subgraphs]

    return kinds


def faults(seen: dict) -> list[str]:
    return [*seen["missing"], *seen["complaints"], *seen["errors"]]


def test_every_workflow_has_a_card_with_a_picture_among_the_templates(saw):
    assert sorted(saw("templates")["cards"]) == [path.stem for path in WORKFLOWS]
    assert saw("templates")["broken"] == 0


def test_a_click_on_a_card_opens_the_workflow(saw):
    assert saw("templates")["nodes"] == types(STANDARD)
    assert faults(saw("templates")) == []


@each_workflow
def test_a_workflow_opens_in_the_frontend(server, saw, foreign, path):
    seen = saw("workflows")[str(path)]
    assert seen["nodes"] == types(path)
    assert sorted(seen["missing"]) == foreign(path)
    if foreign(path):
        assert any("Missing Node" in complaint for complaint in seen["complaints"])
    else:
        assert faults(seen) == []
        assert inputs_of(seen["prompt"]) == inputs_of(prompt_of(read(path), server))


def inputs_of(prompt: dict) -> dict:
    for node in prompt.values():
        node["inputs"].pop("video-preview", None)  # the frontend's own, which the server does not ask for
    return {node_id: (node["class_type"], node["inputs"]) for node_id, node in prompt.items()}


def test_run_ends_with_a_video_that_plays_on_save_video(saw):
    video = saw("run")["video"]
    assert video["error"] is None
    assert (video["videoWidth"], video["videoHeight"]) == (SIZE, SIZE)
    assert video["duration"] > 0
    assert faults(saw("run")) == []


@pytest.mark.parametrize("words", ["lip sync", "talking head"])
def test_the_search_box_finds_v_express_by_what_it_is_for(saw, words):
    titles = [result.split("\n")[0] for result in saw("search")[words]["found"]]
    assert {"Load V-Express", "V-Express Sampler"} <= set(titles)
    (added,) = saw("search")[words]["added"]
    assert "V-Express" in added


def test_the_info_button_shows_the_help_page_of_a_node(saw):
    page = next(filter(Path.exists, ENGLISH), None)
    assert page, "web/docs has no page for V-Express Sampler"
    assert headings(page) <= set(saw("help")["text"].split("\n"))
    assert saw("help")["broken"] == []


def test_in_chinese_help_and_title_are_chinese(saw):
    assert CHINESE.exists(), "web/docs has no Chinese page for V-Express Sampler"
    assert headings(CHINESE) <= set(saw("chinese")["help"]["text"].split("\n"))
    assert TITLES.exists(), "locales/zh has no titles of nodes"
    title = read(TITLES)["VExpressSampler"]["display_name"]
    assert not title.isascii()
    assert title in [result.split("\n")[0] for result in saw("chinese")["found"]]


def headings(page: Path) -> set[str]:
    lines = page.read_text("utf-8").splitlines()
    return {line.strip("# ") for line in lines if line.startswith("#")}


def test_a_wrong_wire_is_explained_in_a_sentence(saw):
    assert "V-Express Encode Reference failed" in saw("wrong_wire")["said"]
    sentence = "the aspect ratios differ by more than 1 %, so cut the face out with V-Express Crop Face"
    assert sentence in saw("wrong_wire")["details"]
