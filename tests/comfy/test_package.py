"""What `comfy node pack` makes for the registry, unpacked into a ComfyUI that has never seen the repository."""

import ast
import json
import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
from comfy_cli.file_utils import zip_files
from comfy_cli.registry.config_parser import extract_node_configuration
from pack.tools.server import COLOUR_CODES, PACK_NAME, comfy_server

ROOT = Path(__file__).parents[2]
LARGEST = 3_000_000  # bytes, of the zip
FOLDERS = {"docs", "example_inputs", "locales", "nodes", "subgraphs", "vexpress", "web", "workflows"}
BESIDES = {
    *(
        "CHANGELOG.md",
        "CONVENTIONS.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "__init__.py",
        "pyproject.toml",
    ),
    *("tools/__main__.py", "tools/convert.py"),
}
UNWELCOME = {"ctypes", "ftplib", "http", "requests", "socket", "subprocess", "urllib"}  # in a registry's eyes


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("package") / "node.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        config = extract_node_configuration("pyproject.toml")
        zip_files(path, config.tool_comfy.includes)
    return path


@pytest.fixture(scope="module")
def names(package) -> list[str]:
    with zipfile.ZipFile(package) as zipped:
        return zipped.namelist()


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory) -> Path:
    """A ComfyUI's base directory with the package in its custom_nodes."""
    base = tmp_path_factory.mktemp("comfyui")
    with zipfile.ZipFile(package) as zipped:
        zipped.extractall(base / "custom_nodes" / PACK_NAME)
    return base


@pytest.fixture(scope="module")
def installed(unpacked):
    with comfy_server(Path(os.environ["COMFYUI_PATH"]), unpacked, install=False) as running:
        yield running


def fetch(server, path: str) -> bytes:
    with urllib.request.urlopen(server.url + path, timeout=60) as response:
        return response.read()


def below(folder: Path, pattern: str = "*") -> list[Path]:
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return files or pytest.skip(f"The pack has no {folder.name}/{pattern}")


def test_comfy_cli_finds_nothing_to_warn_of(tmp_path):
    comfy = Path(sys.executable).with_name("comfy")
    quiet = {"DO_NOT_TRACK": "1", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(
        [comfy, "--skip-prompt", "--no-json", "node", "validate"],
        cwd=ROOT,
        env=os.environ | quiet,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All validation checks passed" in done.stdout + done.stderr
    assert "arning" not in done.stdout + done.stderr


def test_the_package_holds_what_users_need_and_nothing_else(package, names):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    needed = {name for name in listed.stdout.splitlines() if name.partition("/")[0] in FOLDERS}
    assert set(names) == BESIDES | {name for name in needed if not name.startswith("vexpress/training/")}
    assert package.stat().st_size < LARGEST


def test_the_package_starts_no_programs_and_fetches_nothing(package, names):
    with zipfile.ZipFile(package) as zipped:
        code = {name: ast.parse(zipped.read(name)) for name in names if name.endswith(".py")}
    found = [(name, module) for name, tree in code.items() for module in imported(tree) & UNWELCOME]
    assert found == []


def imported(tree: ast.Module) -> set[str]:
    """The first names of the modules that a file imports."""
    nodes = list(ast.walk(tree))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in names}


def test_all_nodes_come_from_the_package(installed):
    from pack.nodes import NODES

    info = installed.object_info()
    for node in NODES:
        listed = info[node.define_schema().node_id]
        assert listed["python_module"] == f"custom_nodes.{PACK_NAME}"


def test_comfyui_says_nothing_of_the_package_but_its_import_time(installed):
    log = COLOUR_CODES.sub("", installed.log.read_text("utf-8"))
    about = [
        line for line in log.splitlines() if re.search(rf"custom_nodes.{PACK_NAME}|vexpress", line, re.I)
    ]
    assert len(about) == 1 and re.search(rf" seconds: .*custom_nodes.{PACK_NAME}$", about[0]), about
    assert "Traceback" not in log


def test_the_workflows_are_templates_with_pictures(installed):
    folder = installed.base / "custom_nodes" / PACK_NAME / "workflows"
    workflows = below(folder, "*.json")
    assert sorted(installed.get("/workflow_templates")[PACK_NAME]) == [path.stem for path in workflows]
    for path in (*workflows, *below(folder, "*.jpg")):
        assert fetch(installed, f"/api/workflow_templates/{PACK_NAME}/{path.name}") == path.read_bytes()


def test_scripts_and_help_pages_are_served(installed):
    folder = installed.base / "custom_nodes" / PACK_NAME / "web"
    for path in below(folder):
        served = fetch(installed, f"/extensions/{PACK_NAME}/{path.relative_to(folder).as_posix()}")
        assert served == path.read_bytes()


def test_translations_are_served(installed):
    known = installed.get("/i18n")
    for path in below(installed.base / "custom_nodes" / PACK_NAME / "locales", "nodeDefs.json"):
        translated = json.loads(path.read_text("utf-8"))
        assert translated.items() <= known[path.parent.name]["nodeDefs"].items()


def test_subgraphs_are_listed(installed):
    listed = {entry["name"] for entry in installed.get("/global_subgraphs").values()}
    folder = installed.base / "custom_nodes" / PACK_NAME / "subgraphs"
    assert {path.stem for path in below(folder, "*.json")} <= listed


def test_the_package_converts_weights_as_the_readme_says(checkpoints, unpacked, tmp_path):
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(checkpoints / "v_kps_guider.safetensors"), tmp_path / "v_kps_guider.bin")
    command = [sys.executable, f"custom_nodes/{PACK_NAME}/tools", "convert", tmp_path]
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "v_kps_guider.safetensors").exists()
