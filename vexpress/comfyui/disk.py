"""Disks that are full, gone or may not be written, in words."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
ON_WINDOWS = os.name == "nt"  # a virus scanner or an indexer may have a new file open there for a moment
PATIENCE = 5.0  # seconds


def replace(new: Path, path: Path) -> None:
    """As os.replace, with patience where nobody else may have a file open that is replaced."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(new, path)
        except PermissionError:
            if not ON_WINDOWS or time.monotonic() > until:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def said_in_a_sentence(folder: Path) -> Iterator[None]:
    """Failing to write into `folder` is raised as one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise OSError(f"The disk is full, so {folder} could not be written: free some space.") from error
        if error.errno in FORBIDDEN:
            raise OSError(f"{folder} may not be written: change its rights, or choose another.") from error
        if error.errno == errno.ENOENT and not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} was deleted, or its disk is gone, while it was written."
            ) from error
        raise
