"""A real ComfyUI server without a window, for tests and demo, and a client that runs workflows on it."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp

ROOT = Path(__file__).resolve().parents[1]
PACK_NAME = "v-express"
START_SECONDS = 180
STOP_SECONDS = 15
HISTORY_SECONDS = 10  # the history may lag behind the message that says the job is done
LOG_LINES = 30
FLAGS = [
    "--listen=127.0.0.1",
    "--disable-auto-launch",
    "--disable-api-nodes",
    "--database-url=sqlite:///:memory:",
    "--preview-method=none",
    "--use-pytorch-cross-attention",  # on the CPU many times faster than ComfyUI's default
]
COLOUR_CODES = re.compile(r"\x1b\[\d+m")
OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


class ComfyError(Exception):
    """What ComfyUI answered, in one sentence."""


class NodeProgress(NamedTuple):
    node_id: str
    value: float
    max: float
    state: str  # running, finished or error


class Server:
    """The client of one running ComfyUI."""

    def __init__(self, process: subprocess.Popen, port: int, base: Path, output: Path):
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.base = base
        self.input, self.output = base / "input", output
        self.log = base / "server.log"

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(self.url + path, timeout=60) as response:
            return json.load(response)

    def post(self, path: str, **body) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        urllib.request.urlopen(request, timeout=60).close()

    def object_info(self) -> dict:
        return self.get("/object_info")

    def run(
        self,
        prompt: dict,
        on_progress: Callable[[list[NodeProgress]], None] = lambda nodes: None,
        timeout: float = 3600,
        on_event: Callable[[str, dict], None] = lambda kind, data: None,
    ) -> dict:
        """
        Runs a workflow in API format to its end; its outputs by node id, as the history keeps them.

        on_event: is told of each of ComfyUI's messages about it, by its type
        """
        return asyncio.run(asyncio.wait_for(self._run(prompt, on_progress, on_event), timeout))

    async def _run(self, prompt: dict, on_progress: Callable, on_event: Callable) -> dict:
        client_id = uuid.uuid4().hex
        async with aiohttp.ClientSession(self.url) as session:
            async with session.ws_connect(f"/ws?clientId={client_id}", max_msg_size=0) as socket:
                prompt_id = await self._submit(session, prompt, client_id)
                await self._follow(socket, prompt_id, on_progress, on_event)
            return await self._outputs(session, prompt_id)

    async def _submit(self, session: aiohttp.ClientSession, prompt: dict, client_id: str) -> str:
        async with session.post("/prompt", json={"prompt": prompt, "client_id": client_id}) as response:
            answer = await response.json()
        if response.status != 200:
            raise ComfyError(_refusal(answer))
        return answer["prompt_id"]

    async def _follow(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        prompt_id: str,
        on_progress: Callable,
        on_event: Callable,
    ) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            kind, data = event["type"], event.get("data") or {}
            if data.get("prompt_id") != prompt_id:
                continue
            on_event(kind, data)
            if kind == "progress_state":
                on_progress([_node_progress(node) for node in data["nodes"].values()])
            elif kind == "execution_success":
                return
            elif kind in ("execution_error", "execution_interrupted"):
                raise ComfyError(_failure(data))
        raise ComfyError(f"ComfyUI ended while it was running.\n{self.log_tail()}")

    async def _outputs(self, session: aiohttp.ClientSession, prompt_id: str) -> dict:
        for _ in range(HISTORY_SECONDS * 10):
            async with session.get(f"/history/{prompt_id}") as response:
                history = await response.json()
            if prompt_id in history:
                return history[prompt_id]["outputs"]
            await asyncio.sleep(0.1)
        raise ComfyError(f"ComfyUI finished {prompt_id} but its history does not list it.")

    def peak_memory(self) -> int:
        return peak_memory(self.process.pid)

    def log_tail(self) -> str:
        text = COLOUR_CODES.sub("", self.log.read_text(encoding="utf-8", errors="replace"))
        lines = [line for line in text.splitlines() if line.strip()]
        return "\n".join(["The server's last lines:", *lines[-LOG_LINES:]])


def peak_memory(pid: int) -> int:
    """Bytes of main memory a process has held at most (where the system tells, else: holds now)."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    import psutil

    memory = psutil.Process(pid).memory_info()
    return getattr(memory, "peak_wset", memory.rss)


@contextlib.contextmanager
def comfy_server(
    comfyui: Path,
    base: Path,
    models: list[Path] = (),
    output: Path | None = None,
    flags: list[str] = ("--cpu",),
    install: bool = True,
) -> Iterator[Server]:
    """
    Starts ComfyUI with `base` as its base directory and this pack in it, and ends it afterwards.

    models:  further model folders, each laid out as ComfyUI's own `models/`
    install: whether to link this pack into it; if not, it lies there already
    """
    for folder in ("custom_nodes", "input", "output", "models", "temp", "user"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    if install:
        _install_pack(base / "custom_nodes" / PACK_NAME)
    port = _free_port()
    command = [sys.executable, "main.py", *FLAGS, *flags, f"--port={port}", f"--base-directory={base}"]
    if models:
        command.append(f"--extra-model-paths-config={_write_model_paths(base, models)}")
    if output:
        command.append(f"--output-directory={output}")
    with open(base / "server.log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=comfyui, env={**os.environ, **OFFLINE}, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        server = Server(process, port, base, output or base / "output")
        _wait_until_ready(server)
        yield server
    finally:
        _stop(process)


def _install_pack(link: Path) -> None:
    if link.is_symlink():
        link.unlink()
    shutil.rmtree(link, ignore_errors=True)
    try:
        link.symlink_to(ROOT, target_is_directory=True)
    except OSError:  # Windows, where making links needs a right most users lack
        shutil.copytree(ROOT, link, ignore=shutil.ignore_patterns(".*", "tests", "__pycache__"))


def _write_model_paths(base: Path, models: Sequence[Path]) -> Path:
    """ComfyUI's extra_model_paths.yaml; JSON is YAML, and quotes any path right."""
    folders = {
        f"models_{i}": {"base_path": str(folder), **{kind.name: kind.name for kind in _subfolders(folder)}}
        for i, folder in enumerate(models)
    }
    path = base / "extra_model_paths.yaml"
    path.write_text(json.dumps(folders), encoding="utf-8")
    return path


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise ComfyError(f"ComfyUI ended while starting.\n{server.log_tail()}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            server.get("/system_stats")
            return _check_pack_loaded(server)
        time.sleep(0.2)
    raise ComfyError(f"ComfyUI was not ready after {START_SECONDS} s.\n{server.log_tail()}")


def _check_pack_loaded(server: Server) -> None:
    log = server.log.read_text(encoding="utf-8", errors="replace")
    if f"Cannot import {server.base / 'custom_nodes' / PACK_NAME}" in log:
        raise ComfyError(f"ComfyUI could not import the pack.\n{server.log_tail()}")


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _node_progress(node: dict) -> NodeProgress:
    return NodeProgress(node["display_node_id"], node["value"], node["max"], node["state"])


def _refusal(answer: dict) -> str:
    problems = [
        f"node {node_id} ({node['class_type']}): {error['message']}: {error['details']}"
        for node_id, node in (answer.get("node_errors") or {}).items()
        for error in node["errors"]
    ]
    return "ComfyUI refused the workflow: " + ("; ".join(problems) or answer["error"]["message"])


def _failure(data: dict) -> str:
    message = data.get("exception_message", "interrupted").strip()
    return f"Node {data['node_id']} ({data['node_type']}) failed: {message}"
