import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from pack.vexpress.kps import Kps
from pack.vexpress.kps_files import READERS, load_kps, save_kps
from safetensors.torch import save_file

POINTS = torch.tensor(
    [[[20.1, 22.0], [44.0, 22.3], [32.0, 40.7]], [[21.0, 22.0], [45.0, 22.0], [33.0, 40.0]]]
)
TRACK = Kps(POINTS, 640, 360, 25.0, "some-detector")


@pytest.mark.parametrize("extension", READERS)
def test_what_is_saved_is_loaded(tmp_path, extension):
    save_kps(TRACK, tmp_path / f"track{extension}")
    loaded = load_kps(tmp_path / f"track{extension}", width=640, height=360, fps=25.0)
    assert torch.equal(loaded.points, POINTS)
    assert (loaded.width, loaded.height, loaded.fps) == (640, 360, 25.0)


@pytest.mark.parametrize("extension", [".json", ".safetensors"])
def test_what_the_file_says_wins(tmp_path, extension):
    save_kps(TRACK, tmp_path / f"track{extension}")
    loaded = load_kps(tmp_path / f"track{extension}", width=1, height=2, fps=3.0)
    assert (loaded.width, loaded.height, loaded.fps, loaded.detector) == (640, 360, 25.0, "some-detector")


def test_a_file_that_does_not_say_takes_what_is_given(tmp_path):
    content = {"format": "v-kps", "version": 1, "points": POINTS.tolist()}
    (tmp_path / "track.json").write_text(json.dumps(content))
    loaded = load_kps(tmp_path / "track.json", 1024, 768, 24.0)
    assert (loaded.width, loaded.height, loaded.fps, loaded.detector) == (1024, 768, 24.0, None)


def test_pth_is_written_as_the_reference_writes_it(tmp_path):
    save_kps(TRACK, tmp_path / "kps.pth")
    frames = torch.load(tmp_path / "kps.pth", weights_only=False)
    assert isinstance(frames, list)
    assert [(type(frame), frame.dtype, frame.shape) for frame in frames] == [
        (np.ndarray, np.float32, (3, 2))
    ] * 2


@pytest.mark.parametrize(
    "content",
    [
        list(POINTS.numpy()),
        list(POINTS.double().numpy()),
        list(POINTS),
        POINTS,
        POINTS.numpy(),
        POINTS.tolist(),
    ],
    ids=["arrays", "float64 arrays", "tensors", "tensor", "array", "numbers"],
)
def test_pth_is_read_in_every_layout_in_use(tmp_path, content):
    torch.save(content, tmp_path / "kps.pth")
    assert torch.equal(load_kps(tmp_path / "kps.pth").points, POINTS)


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


@pytest.mark.parametrize("save", [torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap, 2))])
def test_pth_never_runs_code(tmp_path, monkeypatch, save):
    monkeypatch.chdir(tmp_path)
    save([Trap()], tmp_path / "kps.pth")
    with pytest.raises(ValueError, match="kps.pth does not hold V-Kps: a .pth of V-Kps is a list of arrays"):
        load_kps(tmp_path / "kps.pth")
    assert not Path("sprung").exists()


def test_what_others_let_torch_unpickle_is_neither_used_nor_lost(tmp_path):
    theirs = [np.ndarray, np.dtype, type(np.dtype("f4")), np.empty(0).__reduce__()[0]]
    save_kps(TRACK, tmp_path / "kps.pth")
    with torch.serialization.safe_globals(theirs):
        assert torch.equal(load_kps(tmp_path / "kps.pth").points, POINTS)
        assert set(torch.serialization.get_safe_globals()) >= set(theirs)


@pytest.mark.parametrize(
    "name, content, rule",
    [
        ("a.json", b"{", "Expecting property name"),
        ("a.json", b"\xff\xfe", "utf-8"),
        ("a.json", b"[1, 2]", "the top level is a list"),
        ("a.json", b'{"points": []}', 'its "format" is None, not "v-kps"'),
        ("a.json", b'{"format": "v-kps", "version": 2, "points": []}', "it has version 2"),
        ("a.json", b'{"format": "v-kps", "version": 1}', "not \\(frames, 3, 2\\)"),
        ("a.json", b'{"format": "v-kps", "version": 1, "points": [[[1, 2], [3]]]}', "expected sequence"),
        ("a.json", b'{"format": "v-kps", "version": 1, "points": [[[1, 2], [3, 4], [5, NaN]]]}', "finite"),
        ("a.safetensors", b"no", "[Hh]eader"),
        ("a.pth", b"no", "a list of arrays"),
        ("a.pth", b"", "a list of arrays"),
        ("a.csv", b"", "V-Kps are read from .json, .safetensors, .pth"),
    ],
)
def test_a_bad_file_is_named_with_the_rule_it_breaks(tmp_path, name, content, rule):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*{rule}"):
        load_kps(tmp_path / name)


@pytest.mark.parametrize(
    "content", [{"points": POINTS}, [POINTS.numpy(), None], [POINTS[0].numpy(), POINTS.numpy()], POINTS[0], 5]
)
def test_a_pth_of_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "kps.pth")
    with pytest.raises(ValueError, match="kps.pth does not hold V-Kps"):
        load_kps(tmp_path / "kps.pth")


def test_safetensors_of_something_else_are_refused(tmp_path):
    save_file({"weight": POINTS}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match='a.safetensors does not hold V-Kps: its "format" is None'):
        load_kps(tmp_path / "a.safetensors")
