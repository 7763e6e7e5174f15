"""Work that only one ComfyUI may do at a time, among all that write into the same folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


class Taken(Exception):
    """Somebody else has it."""


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock file, which nobody else can until the block or this process ends, however it ends."""
    file = _hold(path)
    try:
        yield
    finally:
        if os.name != "nt":  # elsewhere an open file may go, and must: after closing it may be another's
            path.unlink(missing_ok=True)
        file.close()
        if os.name == "nt":
            with contextlib.suppress(OSError):  # another has it open by now
                path.unlink()


def is_taken(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with alone(path):
            return False
    except Taken:
        return True


def _hold(path: Path) -> BinaryIO:
    while True:
        file = open(path, "ab")
        try:
            _lock(file)
            if _is_still(path, file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # whoever had it has just removed it


def _lock(file: BinaryIO) -> None:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise Taken from error
    except OSError:  # a file system without locks
        pass


def _is_still(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
