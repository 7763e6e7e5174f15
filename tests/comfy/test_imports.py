"""The pack loads fast, brings in nothing heavy, and loads without packages that only some nodes need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "insightface",
    "onnxruntime",
    "onnx",
    "diffusers",
    "accelerate",
    "transformers",
    "kornia",
    "scipy.signal",
    "cv2",
)
OPTIONAL = ("insightface", "onnxruntime", "diffusers", "accelerate", "kornia", "transformers")
LOAD = """
import asyncio, importlib.abc, importlib.util, json, sys, tempfile

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

root, comfyui, missing = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
sys.path.insert(0, comfyui)
from comfy.cli_args import args
args.cpu, args.base_directory = True, tempfile.mkdtemp()
import nodes, comfy.sample, comfy.context_windows, latent_preview, server  # as ComfyUI before any pack
for name in [name for name in sys.modules if name.split(".")[0] in missing]:
    del sys.modules[name]
sys.meta_path.insert(0, Absent())
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("pack", f"{root}/__init__.py", submodule_search_locations=[root])
sys.modules["pack"] = pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
extension = asyncio.run(pack.comfy_entrypoint())
listed = asyncio.run(extension.get_node_list())
print(json.dumps({
    "nodes": [node.GET_SCHEMA().node_id for node in listed],
    "brought": sorted(set(sys.modules) - before),
}))
"""


def loaded(missing: tuple[str, ...] = (), then: str = "") -> dict:
    """What a fresh ComfyUI has after loading the pack, where the packages of these names cannot be imported."""
    command = [sys.executable, "-c", LOAD + then, str(ROOT), os.environ["COMFYUI_PATH"], ",".join(missing)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_loading_the_pack_brings_in_nothing_that_only_some_nodes_need():
    brought = loaded()["brought"]
    assert [name for name in brought if name.startswith(HEAVY)] == []
    assert {name.partition(".")[0] for name in brought} <= {"pack"}, "what ComfyUI has not imported already"


@pytest.mark.slow
@pytest.mark.parametrize("missing", OPTIONAL)
def test_all_nodes_load_without_a_package_that_only_some_need(missing):
    assert len(loaded((missing,))["nodes"]) > 20


RUN = """
from pack.vexpress.comfyui.face_detector import load_detector
from pack.vexpress.comfyui.face_recognizer import load_recognizer
from pack.vexpress.metrics import load_ssim

said = {}
for name, run in {
    "detect": lambda: load_detector(0.5),
    "recognise": load_recognizer,
    "compare": load_ssim,
}.items():
    try:
        run()
    except ModuleNotFoundError as error:
        said[name] = str(error)
print(json.dumps(said | {"nodes": len(listed)}))
"""


def test_nodes_that_need_a_missing_package_say_so_in_a_sentence():
    said = loaded(OPTIONAL, then=RUN)
    assert said["nodes"] > 20
    assert said["detect"].startswith("Detecting V-Kps needs the package insightface: run `pip install")
    assert said["recognise"].startswith("Recognising faces needs the package insightface: run `pip install")
    assert said["compare"] == "SSIM needs the package kornia: run `pip install kornia` in ComfyUI's Python."
