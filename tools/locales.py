"""
Writes locales/en/nodeDefs.json, which is what the nodes say in English, and lists the sentences that changed. Then it
tells what every other folder of locales/ lacks: a new language is a new folder with a nodeDefs.json of the same keys.
"""

import argparse
import json
from pathlib import Path

from .comfyui import import_comfyui

LOCALES = Path(__file__).resolve().parents[1] / "locales"
SOURCE = "en"
SYNTAX = "@{}|"  # of vue-i18n, which the frontend sends names and descriptions through

Texts = dict[str, str]  # VExpressLoader.inputs.reference_net.tooltip -> what is shown


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="dev.py locales", description=__doc__).parse_args(arguments)
    import_comfyui()
    from ..vexpress.comfyui.folders import register_model_folder

    register_model_folder()
    before, now = read(SOURCE), spoken()
    path_of(SOURCE).parent.mkdir(parents=True, exist_ok=True)
    path_of(SOURCE).write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for key in changed(before, now):
        print(f"{key} says something else than before: translate it anew.")
    found = [problem for language in languages() for problem in problems(language, read(language), now)]
    print("\n".join(found) or "Every language says everything.")
    return 1 if found else 0


def spoken() -> dict:
    """What the nodes' schemas say, laid out as ComfyUI's nodeDefs.json."""
    from ..nodes import NODES

    return {schema.node_id: _node(schema) for schema in (node.GET_SCHEMA() for node in NODES)}


def _node(schema) -> dict:
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {socket.id: _socket(socket, socket.id) for socket in schema.inputs},
        "outputs": {str(i): _socket(socket, socket.display_name) for i, socket in enumerate(schema.outputs)},
    }


def _socket(socket, name: str) -> dict:
    return {"name": name, "tooltip": socket.tooltip}


def languages() -> list[str]:
    """All but the source."""
    return sorted(folder.name for folder in LOCALES.iterdir() if folder.is_dir() and folder.name != SOURCE)


def path_of(language: str) -> Path:
    return LOCALES / language / "nodeDefs.json"


def read(language: str) -> dict:
    path = path_of(language)
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def texts(nodes: dict, prefix: str = "") -> Texts:
    found = {}
    for key, value in nodes.items():
        found |= texts(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def changed(before: dict, now: dict) -> list[str]:
    old, new = texts(before), texts(now)
    return [key for key in new if key in old and old[key] != new[key]]


def problems(language: str, nodes: dict, source: dict) -> list[str]:
    """What is wrong with one language, a sentence each."""
    file, said, asked = f"locales/{language}/nodeDefs.json", texts(nodes), texts(source)
    missing = [f"{file} lacks {key}." for key in asked if key not in said]
    stale = [f"{file} has {key}, which no node has." for key in said if key not in asked]
    empty = [f"{file} says nothing at {key}." for key, text in said.items() if not text.strip()]
    syntax = [
        f"{file} has one of {SYNTAX} at {key}." for key, text in said.items() if set(text) & set(SYNTAX)
    ]
    return missing + stale + empty + syntax
