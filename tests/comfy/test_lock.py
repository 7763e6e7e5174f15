"""One process at a time, however the one before it ended."""

import os
import subprocess
import sys
from multiprocessing import Barrier, Process, Queue

import pytest
from pack.tools.server import ROOT
from pack.vexpress.comfyui.lock import Taken, alone, is_taken

HOLDER = """
import sys, types
sys.path.insert(0, sys.argv[1])
from lock import alone
from pathlib import Path
with alone(Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    folder = ROOT / "vexpress" / "comfyui"
    command = [sys.executable, "-c", HOLDER, str(folder), str(tmp_path / "a.lock")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


def test_what_another_process_holds_is_taken_until_it_ends(holder, tmp_path):
    with pytest.raises(Taken), alone(tmp_path / "a.lock"):
        pass
    assert is_taken(tmp_path / "a.lock") and not is_taken(tmp_path / "b.lock")
    with alone(tmp_path / "b.lock"):
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / "a.lock").exists()
    with alone(tmp_path / "a.lock"):
        pass
    assert os.listdir(tmp_path) == []


def hold_often(path, barrier, overlaps) -> None:
    """Marks the time it holds the lock with a file that only one can make."""
    barrier.wait()
    mark, found = path.with_suffix(".mark"), 0
    for _ in range(300):
        try:
            with alone(path):
                try:
                    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    found += 1
                else:
                    mark.unlink()
        except Taken:
            pass
    overlaps.put(found)


def test_two_that_take_turns_in_haste_never_hold_it_both(tmp_path):
    barrier, overlaps = Barrier(2), Queue()
    both = [Process(target=hold_often, args=(tmp_path / "a.lock", barrier, overlaps)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(300)
    assert [overlaps.get(timeout=10) for _ in both] == [0, 0]
