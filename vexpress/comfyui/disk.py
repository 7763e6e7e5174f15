"""Disks that are full, gone or may not be written, in words."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


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
