"""The preview that plays while a clip is sampled, and what nodes say, as they reach a client of a real server."""

import asyncio
import base64
import io
import json
import re
import struct
import uuid
from typing import NamedTuple

import aiohttp
import numpy as np
import pytest
import torch
from pack.tools.server import ComfyError
from pack.vexpress.comfyui.moving_preview import EVENT, MovingPreview, animation
from pack.vexpress.comfyui.tell import Viewer
from PIL import Image
from safetensors.torch import load_file, save_file
from test_server import clip, node, tone, write_voice

TEXT, STILL = 3, 4  # ComfyUI's binary messages
LENGTH, OVERLAP = 6, 2


class Seen(NamedTuple):
    animations: list[Image.Image]
    senders: list[str]
    stills: list[bytes]
    texts: list[tuple[str, str]]  # node, text


def watch(server, prompt: dict, method: str) -> Seen:
    return asyncio.run(asyncio.wait_for(_watch(server, prompt, method), 300))


async def _watch(server, prompt: dict, method: str) -> Seen:
    """Runs a prompt as the frontend does whose user has chosen this preview method."""
    seen, client = Seen([], [], [], []), uuid.uuid4().hex
    async with aiohttp.ClientSession(server.url) as session:
        async with session.ws_connect(f"/ws?clientId={client}", max_msg_size=0) as socket:
            await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            body = {"prompt": prompt, "client_id": client, "extra_data": {"preview_method": method}}
            async with session.post("/prompt", json=body) as response:
                assert response.status == 200, await response.text()
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    _take_binary(seen, message.data)
                    continue
                event = json.loads(message.data)
                if event["type"] == EVENT:
                    seen.senders.append(event["data"]["display_node"])
                    webp = base64.b64decode(event["data"]["image"])
                    seen.animations.append(Image.open(io.BytesIO(webp)))
                elif event["type"] == "execution_error":
                    raise ComfyError(event["data"]["exception_message"])
                elif event["type"] == "execution_success":
                    return seen


def _take_binary(seen: Seen, data: bytes) -> None:
    kind, length = struct.unpack(">II", data[:8])
    if kind == STILL:
        seen.stills.append(data)
    elif kind == TEXT:
        seen.texts.append((data[8 : 8 + length].decode(), data[8 + length :].decode()))


def frames_of(moving: Image.Image) -> list[np.ndarray]:
    frames = []
    for number in range(moving.n_frames):
        moving.seek(number)
        frames.append(np.asarray(moving.convert("RGB")).astype(int))
    return frames


def sampled_by(sampler: dict, frames: int = 14) -> dict:
    """A clip in windows of 6 frames; steps are many, for previews come as often as they can be played."""
    graph = clip(
        frames=frames, context=node("VExpressContext", model=["models", 0], length=LENGTH, overlap=OVERLAP)
    )
    inputs = {**graph["sampler"]["inputs"], "model": ["context", 0], "seed": uuid.uuid4().int % 10**9}
    inputs = {name: value for name, value in inputs.items() if name not in sampler.get("without", ())}
    return graph | {"sampler": node(sampler["class_type"], **{**inputs, **sampler["inputs"]})}


WAVEFRONT = node("VExpressSampler", steps=3)
RENDER = node("VExpressRender", steps=3, vae=["vae", 0], fps=30.0, deflicker=False)
KSAMPLER = node(
    "KSampler", steps=3, latent_image=["conditions", 2], sampler_name="ddim", scheduler="simple", denoise=1.0
) | {"without": ["latent"]}  # fmt: skip


@pytest.mark.parametrize(
    "sampler, frames",
    [(WAVEFRONT, (LENGTH - OVERLAP, LENGTH)), (RENDER, (LENGTH - OVERLAP, LENGTH)), (KSAMPLER, (14,))],
    ids=["sampler", "render", "ksampler"],
)
def test_the_window_being_finished_plays_on_the_node_that_samples_it(server, sampler, frames):
    graph = sampled_by(sampler)
    if sampler is RENDER:
        graph["saved"]["inputs"]["video"] = ["sampler", 0]
        graph = {name: entry for name, entry in graph.items() if name not in ("pictures", "video")}
    seen = watch(server, graph, "latent2rgb")
    assert seen.animations and set(seen.senders) == {"sampler"}
    for moving in seen.animations:
        assert (moving.format, moving.size, moving.info["loop"]) == ("WEBP", (16, 16), 0)
        assert moving.n_frames in frames
        shown = frames_of(moving)
        assert moving.info["duration"] == 33
        assert np.abs(shown[0] - shown[-1]).mean() > 1  # of 255
    assert len(seen.stills) >= len(seen.animations)  # for clients that know no other


def test_taesd_shows_it_at_the_videos_size(server):
    weights = load_file(server.base / "models" / "vae" / "sd-vae-ft-mse.safetensors")
    decoder = {
        key.removeprefix("taesd_decoder."): w
        for key, w in weights.items()
        if key.startswith("taesd_decoder.")
    }
    path = server.base / "models" / "vae_approx" / "taesd_decoder.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(decoder, path)
    try:
        seen = watch(server, sampled_by(WAVEFRONT), "taesd")
    finally:
        path.unlink()
    assert {moving.size for moving in seen.animations} == {(128, 128)}


def test_who_wants_no_previews_gets_none(server):
    seen = watch(server, sampled_by(WAVEFRONT), "none")
    assert (seen.animations, seen.stills) == ([], [])


class Sent(list):
    def send_sync(self, event: str, data: dict, client: str) -> None:
        self.append((event, data["display_node"], client))


class Grey:
    def decode_latent_to_preview(self, latents: torch.Tensor) -> Image.Image:
        return Image.new("RGB", (512, 256))


def test_a_preview_waits_until_the_one_before_has_been_played(monkeypatch):
    from pack.vexpress.comfyui import moving_preview

    clock = iter([100.0, 100.0, 100.001, 100.5, 100.79, 101.0, 101.0, 101.001])
    monkeypatch.setattr(moving_preview.time, "monotonic", lambda: next(clock))
    server = Sent()
    preview = MovingPreview(Grey(), Viewer(server, "job", "1", "1", "browser"), fps=30.0)
    for _ in range(4):  # at 100, 100.5, 100.79 and 101 seconds
        preview.show(torch.zeros(24, 4, 8, 8))
    assert server == [(EVENT, "1", "browser")] * 2


def test_a_preview_that_takes_long_waits_longer(monkeypatch):
    from pack.vexpress.comfyui import moving_preview

    clock = iter([100.0, 100.0, 103.0, 200.0, 304.0, 304.0, 307.0])
    monkeypatch.setattr(moving_preview.time, "monotonic", lambda: next(clock))
    server = Sent()
    preview = MovingPreview(Grey(), Viewer(server, "job", "1", "1", "browser"), fps=30.0)
    for _ in range(3):  # at 100, 200 and 304 seconds: 3 seconds are 1.5 % of 200
        preview.show(torch.zeros(24, 4, 8, 8))
    assert len(server) == 2


def test_frames_larger_than_a_preview_are_made_smaller():
    from pack.vexpress.comfyui.moving_preview import pictures

    sizes = {frame.size for frame in pictures(Grey(), torch.zeros(3, 4, 8, 8))}
    assert sizes == {(256, 128)}


def test_one_frame_is_a_picture():
    assert Image.open(io.BytesIO(animation([Image.new("RGB", (8, 8))], 25.0))).n_frames == 1


def test_a_warning_is_said_on_the_node_it_concerns(server):
    slow = node("VExpressLoadKps", file="v-express_driving_kps.json", width=512, height=512, fps=30.0)
    moved = node(
        "VExpressRetargetKps", reference=["kps", 0], driving=["slow", 0], strategy="follow", frames=6, fps=20.0,
        timing="clock", upstream_exact=False,
    )  # fmt: skip
    graph = clip() | {"slow": slow, "moved": moved}
    graph["conditions"]["inputs"]["kps"] = ["moved", 0]
    seen = watch(server, graph, "none")
    (text,) = {text for sender, text in seen.texts if sender == "conditions"}
    assert text.startswith("⚠ kps runs at 20 frames per second, audio_tokens at 30")


@pytest.mark.parametrize(
    "loudness, note",
    [(0.5, None), (0.0, "The voice is silent all through"), (9.0, "The voice clips in 1[45] of 15 frames")],
)
def test_encode_audio_shows_the_voice_and_what_is_wrong_with_it(server, loudness, note):
    name = f"loudness_{loudness}.wav"
    write_voice(server.input / name, 16000, 1, (loudness * tone(16000, 0.5)).clip(-1, 1))
    graph = clip(name, frames=0)
    graph = {key: graph[key] for key in ("models", "encoder", "voice", "tokens")}
    outputs = server.run(graph | {"shown": node("PreviewAny", source=["tokens", 1])})
    (picture,) = outputs["tokens"]["images"]
    chart = Image.open(server.base / "temp" / picture["filename"])
    assert chart.width == 640
    texts = outputs["tokens"]["text"]
    assert len(texts) == bool(note)
    if note:
        assert re.match(note, texts[0])
