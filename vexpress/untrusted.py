"""Files come from strangers: none may run code, and what one claims is checked before memory is given to it."""

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

MOST_TEXT = 64 << 20  # bytes of JSON or of a pickle, besides the tensors' numbers
MOST_HEADER = 8 << 20  # bytes: room for 100 000 tensors
MOST_BRACKETS = 5_000_000  # what a million frames of V-Kps have, and some
Allowed = list[tuple[Callable, str]]  # what stands in for the names in a pickle


def read_json(path: Path, most: int = MOST_TEXT) -> object:
    """Whatever is wrong with it, a ValueError."""
    check_size(path, most)
    text = path.read_text("utf-8")
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise ValueError(f"it has more than {MOST_BRACKETS} lists and objects.")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its lists or objects lie too deep in one another.") from None


def check_size(path: Path, most: int) -> None:
    if (size := path.stat().st_size) > most:
        raise ValueError(f"it has {size} bytes, and {most} are the most.")


def check_safetensors(path: Path) -> None:
    """Header and sizes, before anybody else opens it."""
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > MOST_HEADER:
        raise ValueError(f"its header claims {header} bytes, and {MOST_HEADER} are the most.")
    with safe_open(
        path, "pt"
    ):  # every tensor's shape, type and place agree, and nothing lies outside the file
        pass


def read_pickle(path: Path, allowed: Allowed) -> object:
    """What torch.save wrote, of nothing but tensors, plain values and `allowed`; storages are mapped, not copied."""
    zipped = zipfile.is_zipfile(path)
    if zipped:
        _check_zip(path)
    with _nothing_but(allowed):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)


def _check_zip(path: Path) -> None:
    """torch compresses nothing: what is larger inside than outside is a bomb."""
    with zipfile.ZipFile(path) as file:
        entries = file.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it holds compressed entries, which torch never writes.")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("its entries claim more bytes than the file has.")
    if any(entry.file_size > MOST_TEXT for entry in entries if "/data/" not in entry.filename):
        raise ValueError(f"its pickle has more than {MOST_TEXT} bytes.")


def check_tensor(key: str, tensor: Tensor) -> None:
    """Every number of it lies in the file: an expanded or an empty one may claim any shape."""
    plain = (
        type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided and not tensor.is_quantized
    )
    if not plain or tensor.device.type != "cpu":
        raise ValueError(f"{key} is no plain tensor.")
    if not tensor.numel() or tensor.nbytes > tensor.untyped_storage().nbytes():
        raise ValueError(f"{key} claims the shape {list(tensor.shape)}, for which the file has no numbers.")


@contextmanager
def _nothing_but(allowed: Allowed) -> Iterator[None]:
    """What other packs allow torch to unpickle would take the place of ours."""
    others = get_safe_globals()
    clear_safe_globals()
    add_safe_globals(allowed)
    try:
        yield
    finally:
        clear_safe_globals()
        add_safe_globals(others)
