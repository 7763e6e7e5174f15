"""Chromium with ComfyUI's real frontend, which a script in JavaScript drives."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PLAYWRIGHT = "playwright-core@1.65.1"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


class BrowserMissing(Exception):
    """What is not installed."""


def find_chromium() -> str:
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if not found:
        raise BrowserMissing("Chromium is not installed.")
    return found


def ensure_playwright(folder: Path) -> Path:
    """A node_modules folder with playwright-core in `folder`, fetched once."""
    modules = folder / PLAYWRIGHT / "node_modules"
    if (modules / "playwright-core" / "package.json").exists():
        return modules
    npm = shutil.which("npm")
    if not npm:
        raise BrowserMissing("npm is not installed.")
    quiet = ["--silent", "--no-audit", "--no-fund"]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as made:
        if subprocess.run(
            [npm, "install", *quiet, "--prefix", made, PLAYWRIGHT], capture_output=True
        ).returncode:
            raise BrowserMissing(f"npm could not install {PLAYWRIGHT}.")
        try:
            os.replace(made, modules.parent)
        except OSError:
            if not modules.exists():  # no other process was sooner
                raise
    return modules


def drive(script: Path, task: dict, playwright: Path, timeout: float = 600) -> dict:
    """Runs the script with a task, as JSON on its standard input; what it prints, as JSON."""
    done = subprocess.run(
        ["node", script],
        input=json.dumps(task, default=str),
        env=os.environ | {"NODE_PATH": f"{playwright}{os.pathsep}{Path(__file__).parent}"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
    )
    if done.returncode:
        raise RuntimeError(f"{script.name} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)
