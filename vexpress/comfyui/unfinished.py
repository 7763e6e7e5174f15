"""What a render keeps on disk while it runs, so that the same job, queued again, goes on where it ended."""

import logging
import os
import shutil
import time
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..estimate import in_bytes
from ..kps import MOST_FRAMES
from ..untrusted import check_safetensors, check_size
from .disk import said_in_a_sentence

STATE = "state.safetensors"
MOST_STATE = 8 << 30  # bytes: a thousand steps of the largest picture


class UnfinishedRender:
    """The folder of one job: a state that is replaced as a whole, and the video so far in parts."""

    def __init__(self, folder: Path):
        self.folder = folder

    def load(self) -> dict[str, Tensor]:
        """The state an earlier try has left, {} if there is none; files that it does not know of are removed."""
        if self.folder.is_symlink():  # nothing is removed elsewhere
            self.folder.unlink()
        if not self.folder.is_dir():
            return {}
        state = self._load()
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
        except (SafetensorError, LookupError, OSError, ValueError) as error:
            logging.warning("%s is damaged (%s): the render starts anew.", path, error)
            return {}
        if all(self.part(number).is_file() for number in range(len(state["parts"]))):
            return state
        logging.warning("%s lacks a part of the video: the render starts anew.", self.folder)
        return {}

    def save(self, state: dict[str, Tensor]) -> None:
        """state: with "parts", the number of pictures in each part that is written"""
        path, new = self.folder / STATE, self.folder / f"{STATE}.part"
        with said_in_a_sentence(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with open(new, "wb") as file:
                    file.write(save(state))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(new, path)
            finally:
                new.unlink(missing_ok=True)

    def part(self, number: int) -> Path:
        return self.folder / f"{number:06}.mp4"

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def others(current: Path) -> str:
    """One sentence about what other jobs have left beside this one's folder, "" if nothing."""
    left = sorted(state.parent for state in current.parent.glob(f"*/{STATE}") if state.parent != current)
    if not left:
        return ""
    named = ", ".join(f"{job.name} ({in_bytes(_size(job))}, {_last_used(job)})" for job in left)
    return f"{current.parent} holds unfinished renders of other settings: {named}. Delete those that shall not go on."


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _last_used(folder: Path) -> str:
    return time.strftime("%Y-%m-%d", time.localtime((folder / STATE).stat().st_mtime))
