"""V-Kps files: our own .json and .safetensors, and the .pth of the reference implementation."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .kps import MOST_FRAMES, Kps
from .untrusted import MOST_TEXT, check_safetensors, check_size, check_tensor, read_json, read_pickle

FORMAT, VERSION = "v-kps", 1
LONGEST_NAME = 100  # characters, of a detector
OPTIONAL = {"width": int, "height": int, "fps": float, "detector": str}


def load_kps(path: Path, width: int = 512, height: int = 512, fps: float = 30.0) -> Kps:
    """Width, height and fps count only where the file does not say, as a .pth never does."""
    if path.suffix.lower() not in READERS:
        raise ValueError(f"{path.name}: V-Kps are read from {', '.join(READERS)}.")
    try:
        check_size(path, MOST_TEXT)
        fields = READERS[path.suffix.lower()](path)
        return Kps(**{"width": width, "height": height, "fps": fps} | fields)
    except (ValueError, TypeError, OverflowError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path.name} does not hold V-Kps: {error}") from error


def save_kps(kps: Kps, path: Path) -> None:
    """In the format that the path's extension names."""
    WRITERS[path.suffix](kps, path)


def _read_json(path: Path) -> dict:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"the top level is a {type(content).__name__}, not an object.")
    return {"points": torch.tensor(content.get("points", []), dtype=torch.float32)} | _header(content)


def _write_json(kps: Kps, path: Path) -> None:
    content = {"format": FORMAT, "version": VERSION, **_described(kps), "points": kps.points.tolist()}
    text = json.dumps(content)
    if len(text) > MOST_TEXT:
        raise ValueError(f"{len(kps)} frames of V-Kps are too many for a .json: choose safetensors.")
    path.write_text(text, "utf-8")


def _read_safetensors(path: Path) -> dict:
    check_safetensors(path)
    with safe_open(path, "pt") as file:
        fields = _header(file.metadata() or {})
        points = file.get_slice("points")
        if points.get_dtype() not in ("F32", "F64", "F16", "BF16"):
            raise ValueError(f"its points are {points.get_dtype()}, not numbers with a fraction.")
        return fields | {"points": file.get_tensor("points")}


def _write_safetensors(kps: Kps, path: Path) -> None:
    header = {"format": FORMAT, "version": VERSION, **_described(kps)}
    save_file({"points": kps.points.contiguous()}, path, {name: str(value) for name, value in header.items()})


def _described(kps: Kps) -> dict:
    return {name: getattr(kps, name) for name in OPTIONAL if getattr(kps, name) is not None}


def _header(content: dict) -> dict:
    if content.get("format") != FORMAT:
        raise ValueError(f'its "format" is {content.get("format")!r}, not "{FORMAT}".')
    if str(content.get("version")) != str(VERSION):
        raise ValueError(f"it has version {content.get('version')}, this pack reads version {VERSION}.")
    header = {name: kind(content[name]) for name, kind in OPTIONAL.items() if content.get(name) is not None}
    if len(detector := header.get("detector", "")) > LONGEST_NAME or not detector.isprintable():
        raise ValueError(f"its detector is no name of up to {LONGEST_NAME} characters.")
    return header


def _read_pth(path: Path) -> dict:
    try:
        content = read_pickle(path, PICKLED_NUMPY)
        if isinstance(content, list):
            content = np.stack([_frame(frame) for frame in content[: MOST_FRAMES + 1]])
        return {"points": torch.as_tensor(_array(content))}
    except OSError:
        raise
    except Exception as error:  # a broken pickle fails in whatever way it leads the reader to
        raise ValueError("a .pth of V-Kps is a list of arrays (3, 2) or one tensor, nothing else.") from error


def _frame(frame: object) -> np.ndarray:
    """(3, 2). A pickle's list may hold itself, or one list a million times over: NumPy would unfold that."""
    if not isinstance(frame, list):
        return _array(frame)
    values = [value for point in frame[:4] for value in point[:3]]
    if len(frame) != 3 or len(values) != 6 or not all(isinstance(value, (int, float)) for value in values):
        raise ValueError("a frame is three points of two numbers.")
    return np.array(values, np.float32).reshape(3, 2)


def _array(values: object) -> np.ndarray:
    if isinstance(values, Tensor):
        check_tensor("points", values)
    elif not isinstance(values, (_PickledArray, np.ndarray)):
        raise ValueError("points are an array or a tensor.")
    return np.asarray(values, dtype=np.float32)


def _write_pth(kps: Kps, path: Path) -> None:
    torch.save([frame.copy() for frame in kps.points.numpy()], path)


class _PickledDtype:
    """Stands in for np.dtype: what a file says of sizes and flags never reaches NumPy."""

    def __init__(self, code: str, *_):
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        byte_order = state[1]
        self.code = byte_order + self.code


class _PickledArray:
    """Stands in for np.ndarray while a file is read."""

    def __init__(self, *_):
        self.values = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, data = state
        if dtype.code not in ("<f4", "<f8"):
            raise ValueError(f"an array of {dtype.code!r} holds no points.")
        self.values = np.frombuffer(data, dtype.code).reshape(shape, order="F" if is_fortran else "C")

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype)


PICKLED_NUMPY = [
    (_PickledArray, "numpy.ndarray"),
    (_PickledArray, "numpy.core.multiarray._reconstruct"),  # NumPy 1
    (_PickledArray, "numpy._core.multiarray._reconstruct"),  # NumPy 2
    (_PickledDtype, "numpy.dtype"),
]


READERS: dict[str, Callable[[Path], dict]] = {
    ".json": _read_json,
    ".safetensors": _read_safetensors,
    ".pth": _read_pth,
}
WRITERS: dict[str, Callable[[Kps, Path], None]] = {
    ".json": _write_json,
    ".safetensors": _write_safetensors,
    ".pth": _write_pth,
}
