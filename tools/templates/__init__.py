"""
Makes workflows/*.json, and subgraphs/*.json with the same talking head as one node: python dev.py templates

catalogue.py says what each contains; widgets, defaults and sockets come from a real server, so a new widget of a node
is in all of them after the next run.
"""

import os
import sys
import tempfile
from pathlib import Path

from ..server import ROOT, comfy_server
from .catalogue import TALKING_HEAD, TEMPLATES, talking_head_inside
from .file import blueprint, workflow
from .graph import Graph

WORKFLOWS, SUBGRAPHS = ROOT / "workflows", ROOT / "subgraphs"
FACE_RESTORER = {  # as its pack describes the nodes of the template face_restorer
    "FaceRestoreModelLoader": {
        "input": {"required": {"model_name": [["codeformer.pth"]]}},
        "output": ["FACERESTORE_MODEL"],
        "output_name": ["FACERESTORE_MODEL"],
    },
    "FaceRestoreCFWithModel": {
        "input": {
            "required": {
                "facerestore_model": ["FACERESTORE_MODEL"],
                "image": ["IMAGE"],
                "facedetection": [["retinaface_resnet50", "retinaface_mobile0.25", "YOLOv5l", "YOLOv5n"]],
                "codeformer_fidelity": ["FLOAT", {"default": 0.5}],
            }
        },
        "output": ["IMAGE"],
        "output_name": ["IMAGE"],
    },
}


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        with comfy_server(Path(os.environ["COMFYUI_PATH"]), Path(folder)) as server:
            files = made(server.object_info())
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in sorted({*WORKFLOWS.glob("*.json"), *SUBGRAPHS.glob("*.json")} - set(files)):
        print(f"No template makes {path.relative_to(ROOT)}.", file=sys.stderr)
    print(f"Made {len(files)} files.")
    return 0


def made(described: dict) -> dict[Path, str]:
    """described: what the server says of its nodes"""
    described = described | FACE_RESTORER
    files = {}
    for fill in TEMPLATES:
        graph = Graph(fill.__name__.strip("_"), described)
        fill(graph)
        files[WORKFLOWS / f"{graph.name}.json"] = workflow(graph)
    files[SUBGRAPHS / f"{TALKING_HEAD}.json"] = blueprint(talking_head_inside(described))
    return files
