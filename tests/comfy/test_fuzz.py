"""Whatever comes in, there is a valid result or a sentence: `python dev.py fuzz` runs many more cases than the tests."""

import itertools
import json
import math
import os
import re
from collections import Counter
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from comfy_api.latest import InputImpl, io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pack.nodes import NODES
from pack.nodes.audio import EncodeAudio
from pack.nodes.conditioning import EncodeReference
from pack.nodes.crop import CropFace, PasteFace
from pack.nodes.kps import DrawKps
from pack.nodes.motion import IdleMotion, RetargetKps
from pack.nodes.video import AssembleVideo
from pack.tools.server import ComfyError
from pack.vexpress.chart import draw_chart
from pack.vexpress.comfyui.files import load_checkpoint
from pack.vexpress.comfyui.video_frames import video_frames
from pack.vexpress.comfyui.video_sound import video_sound
from pack.vexpress.comfyui.video_writer import Sound, write_video
from pack.vexpress.draw import draw_kps
from pack.vexpress.kps import Kps
from pack.vexpress.kps_files import load_kps, save_kps
from safetensors.torch import save_file
from test_server import node

TIMES = int(os.environ.get("V_EXPRESS_FUZZ", "1"))  # as many cases as in the ordinary tests
SEED = int(os.environ.get("V_EXPRESS_FUZZ_SEED", "0"))
FACE = torch.tensor([[[20.0, 22.0], [44.0, 22.0], [32.0, 40.0]]])
REFERENCE = Kps(FACE, 64, 64)
OUTCOMES = Counter()


@pytest.fixture(scope="module", autouse=True)
def count():
    yield
    if path := os.environ.get("V_EXPRESS_FUZZ_COUNT"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(OUTCOMES) + "\n")


def cases(number: int):
    """So many in the ordinary tests, always the same ones."""
    quiet = list(HealthCheck)
    return settings(
        max_examples=number * TIMES,
        derandomize=SEED == 0,
        deadline=None,
        database=None,
        suppress_health_check=quiet,
        print_blob=True,
    )


@contextmanager
def a_result_or_a_sentence():
    """Of those that say what was wrong: not KeyError, IndexError and the like, which say it to programmers."""
    try:
        yield
    except (ValueError, FloatingPointError, FileNotFoundError) as error:
        text = str(error)
        assert " " in text and "\n" not in text and len(text) < 2000, text
        OUTCOMES["sentences"] += 1
    else:
        OUTCOMES["results"] += 1


NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30),
    st.integers(-3, 70),
    st.floats(),
    st.floats(0, 64),
    st.sampled_from([1e300, 1e-300, 1e38, 1e7, -0.0, 2**31, 2**63]),
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
POINT = st.lists(st.one_of(st.floats(-100, 200), NUMBERS), min_size=2, max_size=2)
POINTS = st.lists(st.lists(POINT, min_size=3, max_size=3), min_size=1, max_size=9)
NEARLY = st.fixed_dictionaries(
    {"format": st.just("v-kps"), "version": st.just(1), "points": st.one_of(POINTS, POINTS, ANYTHING)},
    optional={
        "width": st.one_of(st.just(64), NUMBERS, ANYTHING),
        "height": st.one_of(st.just(64), NUMBERS, ANYTHING),
        "fps": st.one_of(st.floats(0.1, 240), NUMBERS, ANYTHING),
        "detector": st.one_of(st.text(max_size=8), ANYTHING),
    },
)


def use(track: Kps) -> None:
    """What the nodes do with a track that was loaded."""
    draw_chart(track)
    assert torch.isfinite(track.points).all()
    if track.width * track.height < 1 << 20:
        draw_kps(track.points[:2], track.width, track.height)
    for strategy, timing in itertools.product(
        ("follow", "naive_retarget", "offset_retarget"), ("clock", "stretch")
    ):
        for rest in ("portrait's pose",):
            with a_result_or_a_sentence():
                moved = RetargetKps.execute(
                    REFERENCE, strategy, 7, 25.0, timing, False, driving=track
                ).result[0]
                assert torch.isfinite(moved.points).all() and len(moved) == 7, rest
    with a_result_or_a_sentence():
        CropFace.execute(torch.rand(1, 64, 64, 3), track, 1.0, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@cases(120)
@given(content=st.one_of(NEARLY, NEARLY, NEARLY, ANYTHING))
def test_any_json_is_a_track_or_a_sentence(content, folder):
    path = folder / "track.json"
    path.write_text(json.dumps(content), "utf-8")
    with a_result_or_a_sentence():
        use(load_kps(path))


DAMAGE = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6)
CUT = st.one_of(st.just(1.0), st.floats(0, 1))


def damaged(content: bytes, damage: list[tuple[float, int]], cut: float) -> bytes:
    content = bytearray(content)
    for place, byte in damage:
        content[int(place * len(content))] = byte
    return bytes(content[: math.ceil(cut * len(content))])


@pytest.fixture(scope="module")
def whole(folder) -> dict[str, bytes]:
    """Files of every kind, by name."""
    track = Kps(FACE.repeat(3, 1, 1), 64, 64)
    for extension in (".json", ".safetensors", ".pth"):
        save_kps(track, folder / f"whole{extension}")
    weights = {"a.weight": torch.rand(3, 5), "b.bias": torch.rand(4)}
    torch.save(weights, folder / "whole.bin")
    torch.save(weights, folder / "old.bin", _use_new_zipfile_serialization=False)
    torch.save(
        [frame.numpy() for frame in track.points], folder / "old.pth", _use_new_zipfile_serialization=False
    )
    save_file(weights, folder / "weights.safetensors")
    sound = Sound([np.zeros((1, 4000), np.float32)], 16000, 1)
    with write_video(folder / "whole.mp4", Fraction(25), sound) as video:
        for _ in range(5):
            video.write(torch.rand(16, 24, 3))
    files = [file for file in folder.iterdir() if file.stem in ("whole", "old", "weights")]
    return {file.name: file.read_bytes() for file in sorted(files)}


@cases(120)
@given(data=st.data(), damage=DAMAGE, cut=CUT)
def test_any_damaged_file_is_read_or_named(data, damage, cut, folder, whole):
    name = data.draw(st.sampled_from(sorted(whole)))
    path = folder / f"damaged-{name}"
    path.write_bytes(damaged(whole[name], damage, cut))
    if path.suffix == ".mp4":
        with a_result_or_a_sentence():
            frames = video_frames(InputImpl.VideoFromFile(str(path)))
            for _ in itertools.islice(frames, 100):
                pass
        with a_result_or_a_sentence():
            sound = video_sound(InputImpl.VideoFromFile(str(path)))
            for _ in itertools.islice(sound.blocks if sound else (), 100):
                pass
    elif path.suffix == ".bin" or name.startswith("weights"):
        with a_result_or_a_sentence():
            load_checkpoint(str(path))
    else:
        with a_result_or_a_sentence():
            use(load_kps(path))


DTYPES = st.sampled_from(
    [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int16, torch.int32]
)
VALUES = st.sampled_from([0.0, 1.0, -1.0, 1e-40, 1e30, 65504.0, math.nan, math.inf])


def filled(shape: tuple[int, ...], dtype: torch.dtype, odd: float, share: bool) -> torch.Tensor:
    """Noise, some or all of which is an odd number."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(len(shape))) * 2 - 1
    if values.numel():
        values.view(-1)[:: 1 if share else 7] = odd
    return values.nan_to_num().mul(1000).to(dtype) if not dtype.is_floating_point else values.to(dtype)


@pytest.fixture(scope="module")
def hearing(server):
    """The audio encoder and projection of the tiny models."""
    from pack.vexpress.comfyui.audio_encoder import load_audio_encoder
    from pack.vexpress.comfyui.audio_projection import load_audio_projection

    models = server.base / "models"
    encoder = load_audio_encoder(str(models / "audio_encoders" / "wav2vec2-base-960h.safetensors"))
    return encoder, load_audio_projection(str(models / "vexpress" / "audio_projection.bin"))


@cases(100)
@given(
    clips=st.integers(0, 2),
    channels=st.integers(0, 8),
    samples=st.one_of(st.integers(0, 500), st.integers(0, 20_000)),
    rate=st.sampled_from([-1, 0, 1, 8000, 11025, 16000, 44100, 48000, 192000, 1_000_000]),
    dtype=DTYPES,
    odd=VALUES,
    share=st.booleans(),
    fps=st.one_of(st.sampled_from([1.0, 25.0, 29.97, 120.0]), st.floats()),
    frames=st.one_of(st.integers(0, 40), st.sampled_from([-1, 10**7])),
)
def test_any_voice_is_heard_or_refused(
    clips, channels, samples, rate, dtype, odd, share, fps, frames, hearing
):
    audio = {"waveform": filled((clips, channels, samples), dtype, odd, share), "sample_rate": rate}
    if 0 < rate < 8000:
        audio["waveform"] = audio["waveform"][..., :60]  # a minute
    with a_result_or_a_sentence():
        tokens, count, _ = EncodeAudio.execute(*hearing, audio, fps, frames).result
        assert len(tokens.tokens) == count and tokens.tokens.isfinite().all()
    with a_result_or_a_sentence():
        moved = IdleMotion.execute(REFERENCE, audio, frames, fps, 1.0, 5).result[0]
        assert moved.points.isfinite().all()
    with a_result_or_a_sentence():
        video = AssembleVideo.execute(torch.rand(3, 16, 16, 3), fps, False, audio).result[0]
        assert video.get_components().audio["waveform"].isfinite().all()


SIDES = st.one_of(st.integers(1, 20), st.sampled_from([0, 64, 65, 129]))


class KnownVAE:
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        assert pixels.shape[-1] == 3 and pixels.isfinite().all()
        return pixels.mean(-1, keepdim=True).movedim(-1, 1)[..., ::8, ::8].expand(-1, 4, -1, -1)


@pytest.fixture(scope="module")
def reference_net(checkpoints):
    from models import tiny_reference_net

    return tiny_reference_net(checkpoints)


@cases(110)
@given(
    frames=st.integers(0, 3),
    height=SIDES,
    width=SIDES,
    long=st.booleans(),
    channels=st.sampled_from([0, 1, 2, 3, 3, 3, 4, 5]),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64]),
    odd=VALUES,
    share=st.booleans(),
    size=st.sampled_from([64, 72, 100, 128]),
    margin=st.one_of(st.floats(0.5, 3), st.floats()),
    feather=st.one_of(st.floats(0, 0.5), st.floats()),
    calm=st.booleans(),
)
def test_any_pictures_are_taken_or_refused(
    frames, height, width, long, channels, dtype, odd, share, size, margin, feather, calm, reference_net
):
    width = 8192 if long and height <= 4 and frames == 1 else width
    images = filled((frames, height, width, channels), dtype, odd, share)
    kps = Kps(FACE / 64 * torch.tensor([width or 1, height or 1]), width or 1, height or 1)
    with a_result_or_a_sentence():
        portrait = EncodeReference.execute(reference_net, KnownVAE(), images, size, size).result[0]
        assert all(hidden.isfinite().all() for hidden in portrait.features.values()) or abs(odd) > 2
    with a_result_or_a_sentence():
        drawn = DrawKps.execute(kps, images).result[0]
        assert drawn.shape == (frames, height, width, 3) and drawn.isfinite().all()
    with a_result_or_a_sentence():
        square, moved, placement = CropFace.execute(images, kps, margin, size).result
        assert square.shape == (1, size, size, 3) and square.isfinite().all()
        pasted = PasteFace.execute(images, placement, feather, True, images=square).result[0]
        assert pasted.shape == (1, height, width, 3) and pasted.isfinite().all()
    with a_result_or_a_sentence():
        video = AssembleVideo.execute(images, 25.0, calm).result[0]
        made = video.get_components().images
        assert made.shape[0] == frames and made.shape[-1] == 3 and made.isfinite().all()


LINKED = {io.Int.Input: "PrimitiveInt", io.Float.Input: "PrimitiveFloat"}
SOCKETS = [
    (schema.node_id, socket)
    for schema in (node_class.define_schema() for node_class in NODES)
    for socket in schema.inputs
    if type(socket) in (*LINKED, io.Combo.Input, io.Boolean.Input, io.String.Input)
]
SENTENCE = re.compile(r"refused the workflow: |\) failed: .* .*")


def at_and_beyond(socket) -> st.SearchStrategy:
    """Values of every kind, of a widget; the schema tells the limits."""
    odd = st.sampled_from([None, "", "x", "1e999", True, {}, {"__value__": [1, 2]}, [], "\ud83d", -1, 10**30])
    if type(socket) in LINKED:
        near = [socket.min, socket.max, socket.min - 1, socket.max + 1, -socket.max - 1, 0, 1]
        near += [math.nan, math.inf, -math.inf, 2**63, 2**64, 0.5]
        return st.one_of(st.sampled_from(near), odd)
    return odd


@cases(50)
@given(data=st.data())
def test_any_value_of_a_widget_is_taken_or_refused_by_a_living_server(data, server):
    node_id, socket = data.draw(st.sampled_from(SOCKETS), label="socket")
    value = data.draw(at_and_beyond(socket), label="value")
    link = type(socket) in LINKED and data.draw(st.booleans(), label="over a link")
    graph = graph_with(server, node_id)
    target = graph[node_id]["inputs"]
    if heavy(node_id, socket, value):
        return
    if link and isinstance(value, (int, float)) and abs(value) < 2**63:
        number = int(value) if isinstance(socket, io.Int.Input) and math.isfinite(value) else value
        graph["number"] = node(LINKED[type(socket)], value=number)
        target[socket.id] = ["number", 0]
    else:
        target[socket.id] = value
    try:
        server.run(graph, timeout=120)
        OUTCOMES["results"] += 1
    except ComfyError as error:
        assert SENTENCE.search(str(error)), f"{node_id}.{socket.id} = {value!r}: {error}"
        assert not re.search(r"failed: ('\w+'$|(list |tuple )?index (out|\d))", str(error)), (
            f"{node_id}.{socket.id}: {error}"
        )
        OUTCOMES["sentences"] += 1
    assert server.process.poll() is None


def heavy(node_id: str, socket, value: object) -> bool:
    """What is allowed, and takes long."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    most = {
        "frames": 1000,
        "steps": 2,
        "width": 64,
        "height": 64,
        "size": 2048,
        "draws_before": 1000,
        "length": 32,
    }
    return socket.id in most and most[socket.id] < value <= socket.max and node_id != "VExpressScheduler"


def graph_with(server, node_id: str) -> dict:
    """A graph in which that node, called by its id, has all it needs, and its first output is looked at."""
    parts = {part: f"{part}.bin" for part in ("denoising_unet", "motion_module", "reference_net")}
    parts |= {part: f"{part}.bin" for part in ("v_kps_guider", "audio_projection")}
    track = {"file": "v-express_portrait_kps.json", "width": 512, "height": 512, "fps": 30.0}
    clip = {"model": ["VExpressLoader", 0], "positive": ["VExpressConditioning", 0]}
    clip |= {"negative": ["VExpressConditioning", 1], "latent": ["VExpressConditioning", 2]}
    clip |= {"seed": 1, "steps": 1, "cfg": 1.0}
    image, kps, voice = ["image", 0], ["VExpressLoadKps", 0], ["voice", 0]
    given = {
        "VExpressLoader": parts | {"weight_dtype": "default"},
        "VExpressAudioEncoderLoader": {"audio_encoder": "wav2vec2-base-960h.safetensors"},
        "VExpressDetectKps": {"images": image, "fps": 30.0, "face": "largest", "min_score": 0.5, "max_gap": 1},
        "VExpressKpsFromLandmarks": None,
        "VExpressCropFace": {"image": image, "kps": kps, "margin": 1.0, "size": 64},
        "VExpressEncodeReference": {
            "reference_net": ["VExpressLoader", 1], "vae": ["vae", 0], "image": image, "width": 64, "height": 64,
        },
        "VExpressEncodeAudio": {
            "audio_encoder": ["VExpressAudioEncoderLoader", 0], "audio_projection": ["VExpressLoader", 2],
            "audio": voice, "fps": 30.0, "frames": 2,
        },
        "VExpressLoadKps": track,
        "VExpressRetargetKps": {
            "reference": kps, "driving": kps, "strategy": "follow", "frames": 2, "fps": 30.0, "timing": "clock",
            "upstream_exact": False, "translation": 1.0, "rotation": 1.0, "scale": 1.0, "turn": 1.0,
        },
        "VExpressIdleMotion": {"reference": kps, "audio": voice, "frames": 2, "fps": 30.0, "amount": 1.0, "seed": 1},
        "VExpressDrawKps": {"kps": kps},
        "VExpressSaveKps": {"kps": kps, "filename_prefix": "fuzz", "format": "json"},
        "VExpressConditioning": {
            "reference": ["VExpressEncodeReference", 0], "audio_tokens": ["VExpressEncodeAudio", 0], "kps": kps,
            "reference_weight": 0.95, "audio_weight": 3.0,
        },
        "VExpressSpeed": {"model": ["VExpressLoader", 0], "preset": "exact: 25 steps"},
        "VExpressSampler": clip,
        "VExpressAssembleVideo": {"images": image, "audio": voice, "fps": 30.0, "deflicker": False},
        "VExpressRender": clip | {"vae": ["vae", 0], "audio": voice, "fps": 30.0, "deflicker": False},
        "VExpressPasteFace": {
            "original": image, "placement": ["VExpressCropFace", 2], "images": ["VExpressCropFace", 0],
            "feather": 0.1, "match_colour": True,
        },
        "VExpressEvaluate": {
            "video": ["VExpressAssembleVideo", 0], "kps": kps, "face": "largest", "min_score": 0.5, "found_kps": kps,
        },
        "VExpressContext": {"model": ["VExpressLoader", 0], "length": 24, "overlap": 4},
        "VExpressGuidanceInterval": {"model": ["VExpressLoader", 0], "start": 0.0, "end": 0.7},
        "VExpressScheduler": {"model": ["VExpressLoader", 0], "steps": 5},
        "VExpressSamplerSelect": {},
        "VExpressNoise": {"seed": 1},
        "image": {"image": "v-express_portrait.png"},
        "voice": {"audio": "v-express_voice.flac"},
        "vae": {"vae_name": "sd-vae-ft-mse.safetensors"},
    }  # fmt: skip
    given["VExpressKpsFromLandmarks"] = {
        "landmarks": ["landmarks", 0],
        "fps": 30.0,
        "face": "largest",
        "max_gap": 1,
    }
    given["landmarker"] = {"model_name": "mediapipe_face_fp32.safetensors"}
    core = {"image": "LoadImage", "voice": "LoadAudio", "vae": "VAELoader"}
    graph, wanted = {}, [node_id]
    while wanted:
        name = wanted.pop()
        if name in graph or name not in given:
            continue
        graph[name] = node(core.get(name, name), **given[name])
        wanted += [value[0] for value in given[name].values() if isinstance(value, list)]
    graph["shown"] = node("PreviewAny", source=[node_id, 0])
    return graph
