"""Files from strangers: none runs code, leads out of ComfyUI's folders, or takes memory for what it only claims."""

import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import av
import folder_paths
import numpy as np
import pytest
import torch
from comfy_api.latest import InputImpl
from models import PARTS, tiny_model, tiny_reference_net
from pack.nodes import kps as node_of_kps
from pack.nodes.audio import AudioEncoderLoader
from pack.nodes.kps import DrawKps, LoadKps, SaveKps
from pack.tools.convert import convert
from pack.tools.server import ComfyError
from pack.vexpress.comfyui import folders
from pack.vexpress.comfyui.audio_encoder import load_audio_encoder
from pack.vexpress.comfyui.audio_projection import load_audio_projection
from pack.vexpress.comfyui.files import load_checkpoint
from pack.vexpress.comfyui.unfinished import STATE, UnfinishedRender
from pack.vexpress.comfyui.video_frames import video_frames
from pack.vexpress.comfyui.video_sound import video_sound
from pack.vexpress.kps import Kps
from pack.vexpress.kps_files import load_kps
from pack.vexpress.training.clips import BrokenClip, ClipFolder
from pack.vexpress.training.config import load_config
from pack.vexpress.training.networks import load_networks
from pack.vexpress.training.prepared import is_prepared
from pack.vexpress.training.stable_diffusion import first_parts
from safetensors.torch import load_file, save_file
from test_server import node

TRACK = Kps(torch.tensor([[[20.0, 22.0], [44.0, 22.0], [32.0, 40.0]]]), 64, 64)
MEMORY = 256 << 20  # bytes that reading a hostile file may take


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def torch_file(path: Path) -> None:
    torch.save({"weight": Trap()}, path)


def old_torch_file(path: Path) -> None:
    torch.save({"weight": Trap()}, path, _use_new_zipfile_serialization=False)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps([Trap()], 2))


def numpy_file(path: Path) -> None:
    with open(path, "wb") as file:
        np.save(file, np.array([Trap()], dtype=object), allow_pickle=True)


def _restored(path: Path) -> None:
    """The state of an unfinished render; what is no state is no error there, for the render starts anew."""
    folder = path.parent / "job"
    folder.mkdir()
    path.rename(folder / STATE)
    assert UnfinishedRender(folder).load() == {}
    raise ValueError("started anew")


def _converted(path: Path) -> None:
    convert(path, path.with_suffix(".safetensors"))


def _encoder_beside(path: Path) -> None:
    """The config.json of an audio encoder."""
    save_file({"a": torch.zeros(1)}, path.with_suffix(".safetensors"))
    path.rename(path.with_suffix(".json"))
    load_audio_encoder(str(path.with_suffix(".safetensors")))


def _start(path: Path) -> None:
    for part in PARTS:
        shutil.copy(path, path.parent / f"{part}.bin")
    load_networks(path.parent)


def _prepared(path: Path) -> None:
    path.rename(path.with_suffix(".safetensors"))
    assert not is_prepared(path.with_suffix(".safetensors"), {})
    ClipFolder(path.parent)(2, torch.Generator())


READERS = {
    "weights": lambda path: load_checkpoint(str(path)),
    "reference_net": lambda path: _five(path, "reference_net"),
    "denoising_unet": lambda path: _five(path, "denoising_unet"),
    "motion_module": lambda path: _five(path, "motion_module"),
    "v_kps_guider": lambda path: _five(path, "v_kps_guider"),
    "audio_projection": lambda path: load_audio_projection(str(path)),
    "audio encoder": lambda path: load_audio_encoder(str(path)),
    "its config": _encoder_beside,
    "V-Kps": lambda path: load_kps(path),
    "convert": _converted,
    "training's start": _start,
    "training's UNet": lambda path: first_parts(path, path, 0),
    "training's data": _prepared,
    "training's config": load_config,
    "a render's state": _restored,
}


def _five(path: Path, part: str) -> None:
    for other in PARTS:
        torch.save({"blocks.0.weight": torch.zeros(1)}, path.parent / f"{other}.safetensors")
    path.rename(path.parent / f"{part}.safetensors")
    tiny_reference_net(path.parent) if part == "reference_net" else tiny_model(path.parent)


@pytest.mark.parametrize("extension", [".bin", ".pth", ".npy", ".safetensors", ".json"])
@pytest.mark.parametrize("write", [torch_file, old_torch_file, plain_pickle, numpy_file])
@pytest.mark.parametrize("reader", READERS)
def test_no_reader_runs_what_a_pickle_asks_for(reader, write, extension, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / f"trap{extension}")
    with pytest.raises((ValueError, OSError, BrokenClip)):
        READERS[reader](tmp_path / f"trap{extension}")
    assert not (tmp_path / "sprung").exists()


def test_what_other_packs_let_torch_unpickle_is_not_run_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch_file(tmp_path / "trap.bin")
    with torch.serialization.safe_globals([Path.touch, type(Path("sprung"))]):
        with pytest.raises(ValueError, match="trap.bin holds more than tensors"):
            load_checkpoint(str(tmp_path / "trap.bin"))
    assert not (tmp_path / "sprung").exists()


@pytest.fixture
def little_memory():
    """Fails a test that takes much, whether it is used or only asked for in vain."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


def header(content: dict | bytes, claimed: int | None = None) -> bytes:
    """The beginning of a safetensors file."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text) if claimed is None else claimed) + text


def entry(shape: list, size: int) -> dict:
    return {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}


SAFETENSORS = {
    "header": header(b"{}", 1 << 62),
    "nesting": header(b'{"a":' + b"[" * 200_000),
    "terabytes": header({"a": entry([1 << 40], 1 << 42)}),
    "too few bytes": header({"a": entry([1 << 40], 4)}) + b"1234",
    "overflow": header({"a": entry([1 << 32, 1 << 32, 4], 4)}) + b"1234",
    "none of many": header({"a": entry([1 << 60, 0], 0)}),
    "nothing": b"",
    "noise": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("content", SAFETENSORS)
def test_safetensors_that_claim_too_much_are_refused(content, tmp_path, little_memory):
    path = tmp_path / "claim.safetensors"
    path.write_bytes(SAFETENSORS[content])
    with pytest.raises(ValueError, match="claim.safetensors"):
        load_checkpoint(str(path))
    with pytest.raises(ValueError, match="claim.safetensors does not hold V-Kps"):
        load_kps(path)


def compressed(path: Path) -> None:
    """A gigabyte of zeros in a megabyte."""
    torch.save({"a": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as file:
        entries = {entry.filename: file.read(entry) for entry in file.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, bytes(1 << 28) if name.endswith("data/0") else content)


def patched(path: Path, old: bytes, new: bytes) -> None:
    """A file of torch's with other bytes in its pickle."""
    torch.save({"a": torch.zeros(10)}, path)
    with zipfile.ZipFile(path) as file:
        entries = {entry.filename: file.read(entry) for entry in file.infolist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content.replace(old, new) if name.endswith("data.pkl") else content)


def claiming_storage(path: Path) -> None:
    patched(path, b"K\nt", b"\x8a\x06\x00\x00\x00\x00\x00\x01t")


def claiming_shape(path: Path) -> None:
    patched(path, b"K\n\x85", b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85")


def expanded(path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(1 << 40)}, path)


def without_numbers(path: Path) -> None:
    torch.save({"a": torch.zeros(0, 1 << 40)}, path)


def on_no_device(path: Path) -> None:
    torch.save({"a": torch.zeros(1 << 40, device="meta")}, path)


def sparse(path: Path) -> None:
    torch.save({"a": torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.long), [1.0], (1 << 40,))}, path)


def themselves(path: Path) -> None:
    content = []
    content.append(content)
    torch.save(content, path)


def doubled(path: Path) -> None:
    content = [0.0]
    for _ in range(40):
        content = [content, content]
    torch.save(content, path)


@pytest.mark.filterwarnings("ignore:Sparse invariant")
@pytest.mark.parametrize("extension", [".bin", ".pth"])
@pytest.mark.parametrize(
    "write",
    [
        *(compressed, claiming_shape, expanded, without_numbers, on_no_device),
        *(sparse, themselves, doubled),
    ],
)
def test_pickles_that_claim_too_much_are_refused(write, extension, tmp_path, little_memory):
    path = tmp_path / f"claim{extension}"
    write(path)
    with pytest.raises(ValueError, match=f"claim{extension}"):
        load_checkpoint(str(path))
    with pytest.raises(ValueError, match=f"claim{extension}.*V-Kps"):
        load_kps(path)


def test_a_storage_that_claims_more_than_the_file_has_only_that(tmp_path, little_memory):
    claiming_storage(tmp_path / "claim.bin")
    (weight,) = load_checkpoint(str(tmp_path / "claim.bin")).values()
    assert weight.untyped_storage().nbytes() <= (tmp_path / "claim.bin").stat().st_size


WIDE = 1 << 20


@pytest.mark.parametrize(
    "part, key, shape",
    [
        ("reference_net", "down_blocks.0.resnets.0.conv2.weight", (WIDE, 1, 1, 1)),
        ("reference_net", "down_blocks.0.resnets.0.conv2.weight", (7, 7, 3, 3)),
        ("reference_net", "conv_in.weight", (4,)),
        ("reference_net", "conv_in.weight", ()),
        ("denoising_unet", "conv_in.weight", (1, WIDE)),
        ("v_kps_guider", "conv_in.weight", (WIDE, 1)),
        ("v_kps_guider", "blocks.1.weight", ()),
        ("audio_projection", "latents", (WIDE,)),
        ("audio_projection", "latents", (1, 1, WIDE)),
        ("audio_projection", "layers.0.0.to_q.weight", (1,)),
        ("audio_projection", "pos_emb.weight", (10, WIDE)),
    ],
)
def test_weights_of_absurd_sizes_make_no_network(part, key, shape, checkpoints, tmp_path, little_memory):
    for name in PARTS:
        shutil.copy(checkpoints / f"{name}.safetensors", tmp_path)
    path = tmp_path / f"{part}.safetensors"
    save_file(load_file(path) | {key: torch.zeros(shape, dtype=torch.float8_e4m3fn)}, path)
    with pytest.raises(ValueError, match=part):
        if part == "audio_projection":
            load_audio_projection(str(path))
        else:
            tiny_reference_net(tmp_path) if part == "reference_net" else tiny_model(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b" " * (2 << 20),
        b"null",
        b"\xff",
        json.dumps({"model_type": ["wav2vec2"]}).encode(),
        *(
            json.dumps({"model_type": "wav2vec2"} | said).encode()
            for said in (
                {"num_hidden_layers": 10**9},
                {"hidden_size": 10**12},
                {"hidden_size": -1},
                {"hidden_size": "768"},
                {"hidden_act": "exec"},
                {"num_attention_heads": 0},
                {"conv_stride": [1] * 7},
                {"conv_stride": [320, 0, 1]},
                {"conv_dim": [512] * 1000},
                {"conv_kernel": [[1]]},
                {"layer_norm_eps": float("nan")},
                {"layer_norm_eps": "1"},
            )
        ),
    ],
)
def test_configs_of_audio_encoders_are_bounded(content, tmp_path, little_memory):
    save_file({"a": torch.zeros(1)}, tmp_path / "encoder.safetensors")
    (tmp_path / "encoder.json").write_bytes(content)
    with pytest.raises(ValueError, match="encoder.json"):
        load_audio_encoder(str(tmp_path / "encoder.safetensors"))


def test_a_config_asks_for_nothing_but_sizes(tmp_path):
    """transformers would fetch some of what a config may name."""
    from pack.vexpress.comfyui.audio_encoder import SIZES, _read_config

    said = {"model_type": "wav2vec2", "hidden_size": 32, "auto_map": {"AutoModel": "evil--code"}}
    said |= {"attn_implementation": "evil/kernels", "_attn_implementation": "evil/kernels"}
    (tmp_path / "config.json").write_text(json.dumps(said))
    assert _read_config(str(tmp_path / "config.json")).keys() <= SIZES


def with_size(path: Path, width: int, height: int) -> None:
    """A video of one PNG that claims to be larger than it is."""
    write_video(path, "png", [64])
    content = bytearray(path.read_bytes())
    at = content.find(b"IHDR")
    content[at + 4 : at + 12] = struct.pack(">II", width, height)
    content[at + 17 : at + 21] = struct.pack(">I", zlib.crc32(bytes(content[at : at + 17])))
    path.write_bytes(content)


def write_video(path: Path, codec: str, sides: list[int], rate: int = 25) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate)
        stream.width = stream.height = sides[0]
        stream.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
        for side in sides:
            context = av.CodecContext.create(codec, "w")
            context.width = context.height = side
            context.pix_fmt, context.time_base = stream.pix_fmt, Fraction(1, rate)
            frame = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8))
            for packet in [*context.encode(frame.reformat(format=stream.pix_fmt)), *context.encode(None)]:
                packet.stream, packet.pts, packet.dts = stream, None, None
                file.mux(packet)


def frames_of(path: Path) -> int:
    return sum(1 for _ in video_frames(InputImpl.VideoFromFile(str(path))))


def test_a_video_that_claims_a_false_size_is_refused(tmp_path, little_memory):
    with_size(tmp_path / "large.avi", 60_000, 60_000)
    with pytest.raises(ValueError, match="The video cannot be read"):
        frames_of(tmp_path / "large.avi")


def test_a_video_without_a_decoder_is_refused(tmp_path):
    write_video(tmp_path / "foreign.avi", "mjpeg", [64])
    content = (tmp_path / "foreign.avi").read_bytes()
    (tmp_path / "foreign.avi").write_bytes(content.replace(b"MJPG", b"QQQQ"))
    with pytest.raises(ValueError, match="The video cannot be read: nothing here decodes its pictures"):
        frames_of(tmp_path / "foreign.avi")


def test_sound_without_pictures_is_heard_from_its_beginning(tmp_path):
    with av.open(str(tmp_path / "voice.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        file.mux([*stream.encode(frame), *stream.encode(None)])
    sound = video_sound(InputImpl.VideoFromFile(str(tmp_path / "voice.mp4")))
    assert sum(block.shape[1] for block in sound.blocks) >= 1024


def test_a_video_that_changes_its_size_is_refused(tmp_path):
    write_video(tmp_path / "changing.avi", "mjpeg", [64, 64, 96])
    with pytest.raises(ValueError, match="Frame 2 of the video has 96x96 pixels, the first one 64x64"):
        frames_of(tmp_path / "changing.avi")


def test_a_video_that_claims_more_frames_than_bytes_is_read_to_its_end(tmp_path):
    path = tmp_path / "long.avi"
    write_video(path, "mjpeg", [64] * 3)
    content = path.read_bytes()
    claimed = struct.pack("<I", 0x7FFFFFFF)
    at = content.find(b"avih") + 8
    content = content[: at + 16] + claimed + content[at + 20 :]
    at = content.find(b"strh") + 8
    path.write_bytes(content[: at + 32] + claimed + content[at + 36 :])
    frames = video_frames(InputImpl.VideoFromFile(str(path)))
    assert sum(1 for _ in frames) == 3
    assert frames.count <= path.stat().st_size


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.avi\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    ],
    ids=["hls", "concat", "sdp", "dash"],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8", "list.ffconcat", "list.sdp", "list.mpd"])
def test_a_video_names_no_other_file_and_no_address(name, content, tmp_path):
    write_video(tmp_path / "other.avi", "mjpeg", [64])
    (tmp_path / name).write_text(content.format(other=tmp_path / "other.avi"))
    video = InputImpl.VideoFromFile(str(tmp_path / name))
    with pytest.raises(ValueError, match="The video cannot be read"):
        video_frames(video)
    with pytest.raises(ValueError, match="The video cannot be read"):
        video_sound(video)


def test_a_track_that_claims_a_huge_picture_is_not_drawn(little_memory):
    track = Kps(TRACK.points.expand(1000, 3, 2), 65536, 65536)
    with pytest.raises(ValueError, match="1000 pictures of 65536x65536 pixels need .* of memory"):
        DrawKps.execute(track)


def test_as_many_pictures_as_backgrounds_are_asked_memory_for(monkeypatch):
    asked = []
    monkeypatch.setattr(node_of_kps, "check_pictures", lambda *wanted: asked.append(wanted))
    DrawKps.execute(TRACK, torch.zeros(3, 64, 64, 3))
    assert asked == [(3, 64, 64)]


OUTSIDE = [
    *("/etc/passwd", "../secret.json", "a/../../secret.json", "link.json", "folder/secret.json"),
    *("../secret.json [input]", "../secret.json [output]", "/etc/passwd [temp]", "..\\secret.json"),
    *("C:\\secret.json", "C:secret.json", "\\\\server\\share\\secret.json", "//server/share/secret.json"),
    *(
        "track\0.json",
        "\ud800.json",
        "a" * 5000 + ".json",
        "",
        ".",
        "..",
        "file:///etc/passwd",
        "~/secret.json",
    ),
]


@pytest.fixture
def comfy_folders(tmp_path, monkeypatch):
    """ComfyUI's folders, with a secret beside them and links to it in them."""
    (tmp_path / "secret.json").write_text("{}")
    for name in ("input", "output", "temp"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    (tmp_path / "input" / "link.json").symlink_to(tmp_path / "secret.json")
    (tmp_path / "input" / "folder").symlink_to(tmp_path)
    (tmp_path / "output" / "folder").symlink_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [*OUTSIDE, None, 5, {}, ["a"], True])
def test_no_name_of_a_track_leads_out_of_comfyuis_folders(name, comfy_folders):
    assert LoadKps.validate_inputs(name) == f"There is no V-Kps file {name!r}."
    assert folders.kps_files((".json",)) == []


def test_what_leads_out_of_comfyuis_folders_is_not_offered(comfy_folders):
    saved = comfy_folders / "output" / "v-kps"
    saved.symlink_to(comfy_folders)
    (comfy_folders / "track.json").write_text("{}")
    assert folders.kps_files((".json",)) == []
    saved.unlink()
    saved.mkdir()
    (saved / "link.json").symlink_to(comfy_folders / "secret.json")
    (saved / "track.json").write_text("{}")
    assert folders.kps_files((".json",)) == ["v-kps/track.json [output]"]


@pytest.mark.parametrize("place", ["input", "output", "temp"])
def test_a_track_may_lie_in_each_of_comfyuis_folders(place, comfy_folders):
    (comfy_folders / place / "track.json").write_text("{}")
    assert LoadKps.validate_inputs(f"track.json [{place}]") is True
    assert folders.input_path(f"track.json [{place}]") == comfy_folders / place / "track.json"


@pytest.mark.parametrize(
    "prefix",
    [
        *(
            "/etc/track",
            "../track",
            "a/../../track",
            "folder/track",
            "a/\0track",
            "a\0/track",
            "\ud800/track",
        ),
        *("a" * 300, "a" * 5000 + "/track", "//server/share/track", "file.json/track"),
    ],
)
def test_no_prefix_leads_out_of_the_output_folder(prefix, comfy_folders):
    (comfy_folders / "output" / "file.json").write_text("")
    before = sorted(comfy_folders.rglob("*"))
    with pytest.raises(ValueError, match="filename_prefix"):
        SaveKps.execute(TRACK, prefix, "json")
    assert sorted(comfy_folders.rglob("*")) == before


@pytest.mark.parametrize("prefix", ["v-kps/track/", "v-kps//track", "./track/", "track"])
def test_no_prefix_makes_a_track_overwrite_another(prefix, comfy_folders):
    for _ in range(3):
        SaveKps.execute(TRACK, prefix, "json")
    names = sorted(path.name for path in (comfy_folders / "output").rglob("*.json"))
    assert names == [f"track_0000{number}_.json" for number in (1, 2, 3)]


@pytest.mark.parametrize("prefix", ["", ".", "v-kps/..", "./"])
def test_a_prefix_that_names_no_file_is_refused(prefix, comfy_folders):
    with pytest.raises(ValueError, match="filename_prefix is .*, which names no file"):
        SaveKps.execute(TRACK, prefix, "json")


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_of_weights_leads_out_of_the_models_folders(name):
    with pytest.raises((FileNotFoundError, ValueError)):
        folders.model_path(name)
    with pytest.raises((FileNotFoundError, ValueError)):
        AudioEncoderLoader.execute(name)


@pytest.mark.parametrize("name", [name for name in OUTSIDE if name.isprintable()])
def test_the_server_refuses_paths_that_lead_out(name, server):
    graphs = [
        {
            "a": node("VExpressLoadKps", file=name, width=64, height=64, fps=30.0),
            "b": node("VExpressDrawKps", kps=["a", 0]),
        },
        {
            "a": node("VExpressAudioEncoderLoader", audio_encoder=name),
            "b": node("PreviewAny", source=["a", 0]),
        },
        {
            "a": node("VExpressLoader", **dict.fromkeys(PARTS, name), weight_dtype="default"),
            "b": node("PreviewAny", source=["a", 0]),
        },
    ]
    for graph in graphs:
        with pytest.raises(ComfyError, match="no V-Kps file|not in"):
            server.run(graph)
    track = node("VExpressLoadKps", file="v-express_portrait_kps.json", width=64, height=64, fps=30.0)
    if name.startswith(("/", "../", "a/..")):
        saved = node("VExpressSaveKps", kps=["a", 0], filename_prefix=name, format="json")
        with pytest.raises(ComfyError, match="filename_prefix is .* it must stay in the output folder"):
            server.run({"a": track, "b": saved})


def test_links_in_an_unfinished_render_lead_nowhere(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "job").symlink_to(tmp_path / "mine")
    assert UnfinishedRender(tmp_path / "job").load() == {}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "folder").symlink_to(tmp_path / "mine")
    (tmp_path / "other" / "000000.mp4.part").symlink_to(tmp_path / "mine" / "letter.txt")
    assert UnfinishedRender(tmp_path / "other").load() == {}
    assert [*(tmp_path / "other").iterdir()] == []
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"parts": torch.zeros(2)},
        {"parts": torch.zeros(2, 2, dtype=torch.int64)},
        {"windows": torch.zeros(2, dtype=torch.int64)},
    ],
)
def test_a_state_that_no_render_wrote_is_not_taken_up(state, tmp_path, caplog):
    save_file(state, tmp_path / STATE)
    assert UnfinishedRender(tmp_path).load() == {}
    assert "is damaged" in caplog.text and "the render starts anew" in caplog.text


WATCHED = """
import sys, os
quiet = "--disable-api-nodes", "--cpu"
seen = []
FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec",
             "os.posix_spawn", "os.fork", "ctypes.dlopen.never", "pickle.find_class.never", "urllib.Request")
OURS = {ours!r}

def caller():
    frame = sys._getframe(2)
    while frame:
        if frame.f_code.co_filename.startswith(OURS):
            return frame.f_code.co_filename
        frame = frame.f_back

def watch(event, args):
    if not watching:
        return
    if event in FORBIDDEN and (who := caller()):
        seen.append((event, who))
    if event in ("compile", "exec"):
        who = sys._getframe(1).f_code.co_filename
        if who.startswith(OURS):
            seen.append((event, who))

watching = True
sys.addaudithook(watch)
{code}
print("SEEN", seen)
"""


def test_neither_import_nor_nodes_reach_the_network_or_start_programs(tmp_path):
    """Under Python's audit hook, in a process of its own: import, loading, a track, a crop, a video."""
    root = Path(__file__).parents[2]
    code = f"""
import types
sys.path[:0] = [os.environ["COMFYUI_PATH"], {str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from comfy.cli_args import args
args.cpu, args.base_directory = True, {str(tmp_path)!r}
pack = types.ModuleType("pack")
pack.__path__ = [{str(root)!r}]
sys.modules["pack"] = pack
from pack.vexpress.comfyui.folders import register_model_folder
register_model_folder()
import torch
from pathlib import Path
from models import write_checkpoints, tiny_model, tiny_reference_net
from pack.nodes import NODES
for node in NODES:
    node.define_schema()
from pack.nodes.crop import CropFace
from pack.nodes.kps import DrawKps, SaveKps
from pack.nodes.motion import IdleMotion, RetargetKps
from pack.vexpress.comfyui.audio_projection import load_audio_projection
from pack.vexpress.comfyui.crop import crop_face
from pack.vexpress.draw import draw_over
from pack.vexpress.kps import Kps
from pack.vexpress.kps_files import load_kps, save_kps
from pack.vexpress.comfyui.video_writer import write_video
from fractions import Fraction
folder = write_checkpoints(Path({str(tmp_path)!r}))
with torch.inference_mode():
    tiny_model(folder), tiny_reference_net(folder), load_audio_projection(str(folder / "audio_projection.safetensors"))
    kps = Kps(torch.tensor([[[20.0, 22.0], [44.0, 22.0], [32.0, 40.0]]]), 64, 64)
    for extension in (".json", ".safetensors", ".pth"):
        save_kps(kps, folder / f"track{{extension}}")
        load_kps(folder / f"track{{extension}}")
    crop_face(draw_over(kps), kps, 1.0, 64)
    with write_video(folder / "a.mp4", Fraction(25)) as video:
        video.write(draw_over(kps)[0])
"""
    script = WATCHED.format(ours=tuple(f"{root / name}{os.sep}" for name in ("nodes", "vexpress")), code=code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "SEEN []" in done.stdout, done.stdout
