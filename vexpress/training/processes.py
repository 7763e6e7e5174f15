"""Several processes on one machine, one per GPU, that train the same networks on clips of their own."""

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator

MEETING = "V_EXPRESS_MEETING"  # names the file through which processes find one another, without a port
SAVED_WITHIN = timedelta(hours=2)  # the others wait while one writes a checkpoint
KILLED = 9  # what Linux does when memory runs out; Windows has no such signal
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


def number_of_processes(asked: int | None) -> int:
    """`asked`, or one per GPU that can be seen; raises ValueError where there are too few.

    Without NCCL, as on Windows, GPUs cannot talk to each other.
    """
    gpus = torch.cuda.device_count()
    if gpus > 1 and not torch.distributed.is_nccl_available():
        gpus = 1
    if asked and 0 < gpus < asked:
        raise ValueError(
            f"processes is {asked}; it must be {gpus} or less, one for each GPU that can talk to the others."
        )
    return asked or max(1, gpus)


def is_one_of_several() -> bool:
    """Whether this process was started by `launch`, or by `accelerate launch` or `torchrun`."""
    return "RANK" in os.environ


def launch(number: int, command: list[str]) -> int:
    """Run a command in processes that `join` each other; returns the exit code of the first that fails, or 0.

    One that fails takes the others with it, and only what it wrote to stderr is shown: theirs is an echo of it.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that none is left behind
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(number) as pool:
        said = [Path(folder) / f"{rank}.txt" for rank in range(number)]
        workers = [_start(command, rank, number, said[rank]) for rank in range(number)]
        try:
            ends = {pool.submit(worker.wait): rank for rank, worker in enumerate(workers)}
            for end in as_completed(ends):
                if (code := end.result()) != 0:
                    sys.stderr.write(said[ends[end]].read_text(encoding="utf-8", errors="replace"))
                    if code < 0:
                        sys.stderr.write(f"Process {ends[end]} was ended by {signal.Signals(-code).name}, ")
                        sys.stderr.write(
                            "as happens when memory runs out.\n" if -code == KILLED else "not by an error.\n"
                        )
                    return code
            return 0
        finally:
            for worker in workers:
                worker.kill()


def _start(command: list[str], rank: int, number: int, said: Path) -> subprocess.Popen:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number}
    network = {"GLOO_SOCKET_IFNAME": LOOPBACK, "NCCL_SOCKET_IFNAME": LOOPBACK}
    own = {key: str(value) for key, value in place.items()} | {MEETING: str(said.with_name("meeting"))}
    with open(said, "w") as errors:
        return subprocess.Popen(command, env={**network, **os.environ, **own}, stderr=errors)


def join(cpu: bool) -> torch.device:
    """Meet the other processes, if there are any; returns the device that is this one's."""
    if MEETING in os.environ:
        torch.distributed.init_process_group(
            "gloo" if cpu else "nccl",
            init_method=Path(os.environ[MEETING]).as_uri(),
            rank=int(os.environ["RANK"]),
            world_size=int(os.environ["WORLD_SIZE"]),
            timeout=SAVED_WITHIN,
        )
    return Accelerator(cpu=cpu).device
