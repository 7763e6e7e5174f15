"""
What a render keeps on disk while it runs, so that the same job, queued again, goes on where it ended; and until the
next one is finished, so that a lost video, or one with another sound, takes no second render.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..estimate import in_bytes
from ..kps import MOST_FRAMES
from ..untrusted import check_safetensors, check_size
from .disk import replace, said_in_a_sentence
from .lock import Taken, alone, is_taken
from .tell import warn
from .video_writer import count_frames

STATE = "state.safetensors"
FINISHED = "finished"  # a file beside it
MOST_STATE = 32 << 30  # bytes: a thousand steps of 2048 pixels


@contextlib.contextmanager
def kept_in(folder: Path) -> Iterator["UnfinishedRender"]:
    """The folder of a job, which no other ComfyUI can have at the same time."""
    with said_in_a_sentence(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = contextlib.ExitStack()
        try:
            lock.enter_context(alone(lock_of(folder)))
        except Taken:
            raise ValueError(
                f"Another ComfyUI renders this very job into {folder.parents[1]} right now: wait for it, or set another "
                "seed."
            ) from None
    with lock:
        yield UnfinishedRender(folder)


def lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


class UnfinishedRender:
    """The folder of one job: a state that is replaced as a whole, and the video so far in parts."""

    def __init__(self, folder: Path):
        self.folder = folder

    def load(self) -> dict[str, Tensor]:
        """
        The state an earlier try has left, {} if there is none or it is damaged; files that it does not know of are removed.
        Nothing is where the disk is to blame, or somebody who has a file open: that may pass.
        """
        if self.folder.is_symlink():  # nothing is removed elsewhere
            self.folder.unlink()
        if not self.folder.is_dir():
            return {}
        try:
            state = self._load()
        except OSError as error:
            raise OSError(
                f"{self.folder} cannot be read just now ({error}): run the same job again, or delete it to start anew."
            ) from error
        known = {self.part(number) for number in range(len(state.get("parts", ())))}
        for file in {*self.folder.iterdir()} - known:
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file, ignore_errors=True)
            elif file.name != STATE or not state:
                file.unlink()
        return state

    def _load(self) -> dict[str, Tensor]:
        path = self.folder / STATE
        try:
            check_size(path, MOST_STATE)
            check_safetensors(path)
            state = load(path.read_bytes())
            parts = state["parts"]
            if parts.dim() != 1 or len(parts) > MOST_FRAMES or parts.dtype != torch.int64:
                raise ValueError("its parts are no list of whole numbers.")
        except FileNotFoundError:
            return {}
        except (SafetensorError, LookupError, ValueError) as error:
            warn(f"{path} is damaged ({error}): the render starts anew.")
            return {}
        for number, frames in enumerate(state["parts"].tolist()):
            if count_frames(self.part(number)) != frames:
                warn(f"{self.part(number)} is lost or damaged: the render starts anew.")
                return {}
        return state

    def save(self, state: dict[str, Tensor]) -> None:
        """state: with "parts", the number of pictures in each part that is written"""
        path, new = self.folder / STATE, self.folder / f"{STATE}.part"
        if lost := self.lost_part(len(state["parts"])):
            raise FileNotFoundError(f"{lost} was deleted, or its disk is gone: the video has to start anew.")
        with said_in_a_sentence(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with open(new, "wb") as file:
                    file.write(save(state))
                    file.flush()
                    os.fsync(file.fileno())
                replace(new, path)
            finally:
                new.unlink(missing_ok=True)

    def lost_part(self, count: int) -> Path | None:
        """The first of `count` parts that is gone."""
        return next((part for part in map(self.part, range(count)) if not part.is_file()), None)

    def part(self, number: int) -> Path:
        return self.folder / f"{number:06}.mp4"

    def keep_finished(self) -> None:
        """Instead of the one that was finished before."""
        with contextlib.suppress(OSError):  # the video itself is safe
            (self.folder / FINISHED).touch()
        for mark in self.folder.parent.glob(f"*/{FINISHED}"):
            if mark.parent != self.folder:
                with contextlib.suppress(Taken, OSError), alone(lock_of(mark.parent)):
                    shutil.rmtree(mark.parent, ignore_errors=True)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def others(current: Path) -> str:
    """One sentence about what other jobs have left beside this one's folder, "" if nothing."""
    jobs = sorted(state.parent for state in current.parent.glob(f"*/{STATE}"))
    left = [job for job in jobs if job != current and not is_finished(job) and not is_taken(lock_of(job))]
    if not left:
        return ""
    named = ", ".join(f"{job.name} ({in_bytes(_size(job))}, {_last_used(job)})" for job in left)
    return f"{current.parent} holds unfinished renders of other settings: {named}. Delete those that shall not go on."


def is_finished(folder: Path) -> bool:
    return (folder / FINISHED).exists()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _last_used(folder: Path) -> str:
    return time.strftime("%Y-%m-%d", time.localtime((folder / STATE).stat().st_mtime))
