"""Imports point one way: nodes -> vexpress/comfyui -> vexpress/model -> vexpress. Training stands beside the nodes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    "vexpress",
    "vexpress.model",
    "vexpress.comfyui",
    "vexpress.training",
    "nodes",
)  # each may import itself and those before it
COMFYUI = (
    "comfy",
    "comfy_api",
    "comfy_execution",
    "folder_paths",
    "latent_preview",
    "nodes",
    "server",
    "execution",
)
ALLOWED = {
    "vexpress": (),
    "vexpress.model": ("comfy.ldm", "comfy.ops"),
    "vexpress.comfyui": COMFYUI,
    "vexpress.training": ("comfy.ops", "comfy.taesd", "comfy_api"),
    "nodes": ("comfy_api", "comfy_execution"),
}
FILES = sorted([*(ROOT / "vexpress").rglob("*.py"), *(ROOT / "nodes").glob("*.py")])


def layer_of(module: str) -> str:
    return max((layer for layer in LAYERS if f"{module}.".startswith(f"{layer}.")), key=len)


def imports_of(path: Path) -> list[str]:
    """Absolute names of what a file imports; those of this repository start at its root."""
    package = list(path.relative_to(ROOT).parts[:-1])
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            found += [".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    layer = layer_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for name in imports_of(path):
        top = name.split(".")[0]
        if top == "vexpress" or (top == "nodes" and name != "nodes"):
            assert LAYERS.index(layer_of(name)) <= LAYERS.index(layer), f"{path.name} imports {name}"
        elif top in COMFYUI:
            assert name.startswith(ALLOWED[layer]), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "nodes").glob("*.py")), ids=lambda path: path.name)
def test_no_node_needs_what_only_training_needs(path):
    assert not any(name.startswith("vexpress.training") for name in imports_of(path))
