"""
Makes the pictures of workflows, help pages and README: the tiny talker runs each workflow in ComfyUI's real frontend,
in the shape that the released weights would run it.

Names are those of workflows, of nodes, or `talking` (README's moving picture) and `nodes` (a graph of what no workflow
holds); without any, all are made. What is done is on disk: after a failure go on with the names that are left.
"""

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import NamedTuple

import av
import torch
from PIL import Image, ImageDraw, ImageOps

from ..vexpress.kps import Kps
from ..vexpress.kps_files import save_kps
from .browser import BrowserMissing, drive, ensure_playwright, find_chromium
from .demo import FPS, WITH_TALKER
from .example_person import driver
from .make_examples import DRIVING_FRAMES, VIDEO_SIZE
from .photo import HEIGHT, PERSON, WIDTH
from .photo_person import LEFT_EYE, NOSE, mirror
from .server import ROOT, ComfyError, Server, comfy_server
from .tiny_models import write_talker

WORKFLOWS, EXAMPLES = ROOT / "workflows", ROOT / "example_inputs"
NODE_PICTURES = ROOT / "web" / "docs" / "images"
STANDARD, TALKING, NODES = "portrait_and_voice", "talking", "nodes"
IN_DOCS = (STANDARD, "driving_video", "any_photo_crop_and_paste")  # docs/<name>.jpg
FRAMES = 24
MOMENT = 0.35  # seconds; the mouth is open
GRAPH_WIDTH, SHARPNESS = 1600, 1.5
CARD, TILE, GAP, BACKGROUND = 512, 236, 8, (24, 24, 24)
AROUND_NODE, NODE_BYTES = 24, 15_000
MOVING_WIDTH, MOVING_FPS = 860, 15

SHOWN_IN = {  # the others are taken from the first workflow that holds them
    "VExpressRetargetKps": "driving_video",
    "VExpressKpsFromLandmarks": "driving_video",
    "VExpressIdleMotion": "idle_motion",
    "VExpressCropFace": "any_photo_crop_and_paste",
    "VExpressSampler": STANDARD,
}
STEPS = {"steps": WITH_TALKER.steps, "cfg": WITH_TALKER.cfg}
SETTINGS = {  # while a workflow runs; the picture shows its own
    "VExpressEncodeAudio": {"frames": FRAMES},
    "VExpressEncodeReference": {"width": WITH_TALKER.size, "height": WITH_TALKER.size},
    "VExpressConditioning": {
        "reference_weight": WITH_TALKER.reference_weight,
        "audio_weight": WITH_TALKER.audio_weight,
    },
    **dict.fromkeys(("VExpressSampler", "VExpressRender", "KSampler"), STEPS),
    "VExpressScheduler": STEPS,
    "CFGGuider": STEPS,
    "Video Slice": {"duration": FRAMES / FPS},
}
WITHOUT_A_WORKFLOW = {
    "video": {"class_type": "LoadVideo", "inputs": {"file": "v-express_driving.mp4"}},
    "parts": {"class_type": "GetVideoComponents", "inputs": {"video": ["video", 0]}},
    "kps": {
        "class_type": "VExpressDetectKps",
        "inputs": {"fps": 30.0, "face": "largest", "min_score": 0.5, "max_gap": 10, "video": ["video", 0]},
    },
    "drawn": {"class_type": "VExpressDrawKps", "inputs": {"kps": ["kps", 0], "background": ["parts", 0]}},
    "shown": {"class_type": "PreviewImage", "inputs": {"images": ["drawn", 0]}},
    "saved": {
        "class_type": "VExpressSaveKps",
        "inputs": {"kps": ["kps", 0], "filename_prefix": "v-kps/track", "format": "json"},
    },
}


class Taken(NamedTuple):
    """A picture of a graph, and where things are in it, in the page's pixels."""

    graph: Image.Image
    nodes: dict[str, list[list[float]]]
    videos: list[dict]
    scale: float  # of the canvas

    def cut(self, x: float, y: float, width: float, height: float) -> Image.Image:
        box = [SHARPNESS * value for value in (x, y, x + width, y + height)]
        left, top = max(box[0], 0), max(box[1], 0)
        return self.graph.crop((left, top, min(box[2], self.graph.width), min(box[3], self.graph.height)))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py pictures", description=__doc__)
    parser.add_argument("names", nargs="*", help="workflows, nodes, talking, nodes")
    names = parser.parse_args(arguments).names
    try:
        make(names)
    except (BrowserMissing, ComfyError, ValueError) as error:
        sys.exit(str(error))
    return 0


def make(names: list[str]) -> None:
    chromium, cache = find_chromium(), Path(os.environ["V_EXPRESS_CACHE"])
    playwright = ensure_playwright(cache)
    with tempfile.TemporaryDirectory(prefix="v-express-pictures-") as folder:
        base = Path(folder)
        write_talker(base / "models")
        shutil.copytree(EXAMPLES, base / "input")
        write_true_kps(base / "input")
        with comfy_server(Path(os.environ["COMFYUI_PATH"]), base) as server:
            ours = [name for name in server.object_info() if name.startswith("VExpress")]
            graphs = graphs_to_show(names, ours)
            for name, nodes in graphs.items():
                started = time.monotonic()
                task = {"url": server.url, "chromium": chromium, "pictures": base, **task_of(name, server)}
                seen = drive(Path(__file__).with_name("pictures.cjs"), task, playwright, timeout=1800)
                taken = Taken(
                    Image.open(base / f"{name}.png").convert("RGB"),
                    seen["nodes"],
                    seen["videos"],
                    seen["scale"],
                )
                write_pictures(name, nodes, taken, server)
                why = f", not run: {seen['problem']}" if seen["problem"] else ""
                print(f"{name}: {time.monotonic() - started:.0f} s{why[:200]}", flush=True)


def graphs_to_show(names: list[str], ours: list[str]) -> dict[str, list[str]]:
    """The graphs that are to be run, with the nodes whose pictures they give."""
    graphs = {path.stem: [] for path in sorted(WORKFLOWS.glob("*.json"))} | {NODES: [], TALKING: []}
    for node in ours:
        graphs[holder_of(node)].append(node)
    unknown = set(names) - {*graphs, *ours}
    if unknown:
        raise ValueError(f"There is no workflow and no node called {' or '.join(sorted(unknown))}.")
    if not names:
        return graphs
    asked = {
        name: [node for node in nodes if name in names or node in names] for name, nodes in graphs.items()
    }
    return {name: nodes for name, nodes in asked.items() if nodes or name in names}


def holder_of(node: str) -> str:
    holding = [path.stem for path in sorted(WORKFLOWS.glob("*.json")) if node in types_in(path)]
    return SHOWN_IN[node] if SHOWN_IN.get(node) in holding else next(iter(holding), NODES)


def types_in(path: Path) -> set[str]:
    return {node["type"] for node in json.loads(path.read_text("utf-8"))["nodes"]}


def task_of(name: str, server: Server) -> dict:
    settings = SETTINGS | ({"VExpressEncodeAudio": {"frames": 0}} if name == TALKING else {})
    path = WORKFLOWS / f"{STANDARD if name == TALKING else name}.json"
    return {
        "name": name,
        "workflow": None if name == NODES else json.loads(path.read_text("utf-8")),
        "api": WITHOUT_A_WORKFLOW if name == NODES else None,
        "settings": settings,
        "known": [file.name for file in server.input.glob("*.json")],
        "width": GRAPH_WIDTH,
        "sharpness": SHARPNESS,
        "moment": MOMENT,
    }


def write_true_kps(folder: Path) -> None:
    """What a detector would find in the examples, under names that pictures.cjs knows."""
    eyes = [LEFT_EYE, *mirror([LEFT_EYE])]
    photo = [[PERSON(point) for point in (*eyes, NOSE)]]
    driving = driver(DRIVING_FRAMES, FPS, VIDEO_SIZE).kps.float()
    two_people = (
        [[(212.0, 251.0), (324.5, 251.0), (274.0, 305.5)]],
        [[(696.5, 251.5), (813.5, 251.5), (749.0, 304.0)]],
    )
    for name, points, size in (
        ("v-express_photo.jpg", photo, (WIDTH, HEIGHT)),
        ("v-express_driving.mp4", driving, (VIDEO_SIZE, VIDEO_SIZE)),
        ("v-express_driving.mp4.slice", driving[:FRAMES], (VIDEO_SIZE, VIDEO_SIZE)),
        ("v-express_two_people.jpg", two_people[0], (1024, 512)),
        ("v-express_two_people.jpg.1", two_people[1], (1024, 512)),
    ):
        save_kps(Kps(torch.as_tensor(points), *size, FPS), folder / f"{name}.json")


def write_pictures(name: str, nodes: list[str], taken: Taken, server: Server) -> None:
    if name == TALKING:
        return write_moving(taken, server, ROOT / "docs" / "talking.webp")
    for node in filter(taken.nodes.get, nodes):
        write_node(taken, node, NODE_PICTURES / f"{node}.jpg")
    if name == NODES:
        return
    thumbnail(name, taken, server).save(WORKFLOWS / f"{name}.jpg", quality=80, optimize=True)
    if name in IN_DOCS:
        small = taken.graph.resize((GRAPH_WIDTH, round(taken.graph.height / SHARPNESS)), Image.LANCZOS)
        small.save(ROOT / "docs" / f"{name}.jpg", quality=80, optimize=True)


def write_node(taken: Taken, node: str, path: Path) -> None:
    x, y, width, height = taken.nodes[node][-1]
    m = AROUND_NODE
    picture = taken.cut(x - m, y - m, width + 2 * m, height + 2 * m)
    picture = picture.resize([round(side / taken.scale / SHARPNESS) for side in picture.size], Image.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in range(85, 30, -5):
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=quality, optimize=True)
        if data.tell() <= NODE_BYTES:
            break
    path.write_bytes(data.getvalue())


def thumbnail(name: str, taken: Taken, server: Server) -> Image.Image:
    """A square card: what goes in, what comes out, and the graph between them."""
    card = Image.new("RGB", (CARD, CARD), BACKGROUND)
    graph = ImageOps.contain(taken.graph, (CARD, CARD - TILE - GAP), Image.LANCZOS)
    card.paste(graph, ((CARD - graph.width) // 2, (CARD + TILE + GAP - graph.height) // 2))
    sources = [first_frame(EXAMPLES / file) for file in sources_of(name)]
    card.paste(square(sources[0], TILE), (0, 0))
    if len(sources) > 1:
        inset = round(0.4 * TILE)
        card.paste(square(sources[1], inset), (TILE - inset, TILE - inset))
    if taken.videos:
        made = frame_at(saved_video(taken.videos[-1], server), MOMENT)
        card.paste(square(made, TILE), (CARD - TILE, 0))
        x, y, r = CARD / 2, TILE / 2, CARD / 2 - TILE - GAP
        ImageDraw.Draw(card).polygon(
            [(x - r, y - 1.6 * r), (x + r, y), (x - r, y + 1.6 * r)], (235, 235, 235)
        )
    return card


def sources_of(name: str) -> list[str]:
    nodes = json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))["nodes"]
    return [node["widgets_values"][0] for node in nodes if node["type"] in ("LoadImage", "LoadVideo")]


def square(picture: Image.Image, side: int) -> Image.Image:
    """Its middle, or where the person of the example photo is; all of a picture of two."""
    width, height = picture.size
    if width >= 2 * height:
        return ImageOps.pad(picture, (side, side), Image.LANCZOS, BACKGROUND)
    centre = PERSON.at[0] / WIDTH if width * HEIGHT == height * WIDTH else 0.5
    return ImageOps.fit(picture, (side, side), Image.LANCZOS, centering=(_shift(centre, height / width), 0.5))


def _shift(centre: float, part: float) -> float:
    """How far right a window over a part of the width goes, 0..1, to have its middle at the centre."""
    return 0.5 if part >= 1 else min(max((centre - part / 2) / (1 - part), 0.0), 1.0)


def first_frame(path: Path) -> Image.Image:
    return frame_at(path, 0) if path.suffix == ".mp4" else Image.open(path).convert("RGB")


def frame_at(path: Path, seconds: float) -> Image.Image:
    frames = frames_of(path)
    return frames[min(round(seconds * FPS), len(frames) // 2)]


def frames_of(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as video:
        return [frame.to_image() for frame in video.decode(video=0)]


def saved_video(video: dict, server: Server) -> Path:
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(video["src"]).query))
    return server.base / query["type"] / query.get("subfolder", "") / query["filename"]


def write_moving(taken: Taken, server: Server, path: Path) -> None:
    """The right of the graph, with the video playing in it."""
    video = taken.videos[-1]
    left = taken.nodes["VExpressCropFace"][0][0] - AROUND_NODE
    still = taken.cut(left, 0, GRAPH_WIDTH - left, taken.graph.height / SHARPNESS)
    scale = MOVING_WIDTH / still.width
    still = still.resize((MOVING_WIDTH, round(still.height * scale)), Image.LANCZOS)
    x, y, width, height = (scale * SHARPNESS * value for value in video["box"])
    at, size = (round(x - scale * SHARPNESS * left), round(y)), (round(width), round(height))
    pictures = []
    for frame in frames_of(saved_video(video, server))[:: FPS // MOVING_FPS]:
        pictures.append(still.copy())
        pictures[-1].paste(frame.resize(size, Image.LANCZOS), at)
    pictures[0].save(
        path,
        save_all=True,
        append_images=pictures[1:],
        duration=1000 // MOVING_FPS,
        loop=0,
        quality=70,
        method=4,
    )
