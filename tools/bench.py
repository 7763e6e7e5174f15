"""
Measures the full-size networks, with weights built by rule, on the CPU or a CUDA GPU: seconds and peak memory of each
part of the method, beside the machine's own matrix and copy speed. Nothing is downloaded.
"""

import argparse
import ctypes
import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a thread that waits does not work

import torch  # noqa: E402

from .bench_table import OVERLAP, Machine, Row, second_of_video, table  # noqa: E402
from .comfyui import import_comfyui  # noqa: E402
from .server import peak_memory  # noqa: E402

if TYPE_CHECKING:
    from .bench_works import Work

BASELINE = Path(__file__).with_name("bench_baseline.json")
FEW, ALL = [(256, 12)], [(256, 12), (256, 24), (512, 12), (512, 24)]  # pixels and frames of a context window
RESET_PEAK = Path("/proc/self/clear_refs")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument(
        "--all", action="store_true", help="also 512 px, windows of 24 frames, a minute of voice"
    )
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each; the median is shown")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="numbers to compare with")
    options = parser.parse_args(arguments)

    import_comfyui(cpu=not torch.cuda.is_available())
    windows, voices = (ALL, [1, 10, 60]) if options.all else (FEW, [10])
    with torch.inference_mode():
        machine, rows = this_machine(options.runs), []
        for row in measured(windows, voices, options.runs):
            rows.append(row)
            print(f"{row.name}: {row.seconds:.2f} s", flush=True)
    print("\n".join(report(machine, rows, windows, read(options.baseline))))
    if options.json:
        numbers = {"machine": machine._asdict(), "rows": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return 0


def read(path: Path) -> tuple[Machine, list[Row]]:
    """What an earlier run wrote by --json."""
    numbers = json.loads(path.read_text(encoding="utf-8"))
    return Machine(**numbers["machine"]), [Row(**row) for row in numbers["rows"]]


def report(
    machine: Machine, rows: list[Row], windows: list[tuple[int, int]], baseline: tuple[Machine, list[Row]]
) -> Iterator[str]:
    yield ""
    if not torch.cuda.is_available():
        yield "seconds are those that the threads worked: CPU time / threads"
    yield f"{machine.processor}, {machine.threads} threads, torch {machine.torch}"
    yield f"matrix product {machine.matmul:.0f} GFLOP/s, copy {machine.copy:.0f} GB/s"
    yield f"baseline: {baseline[0].processor}, {baseline[0].threads} threads, torch {baseline[0].torch}"
    yield ""
    yield from table(rows, baseline[1])
    yield ""
    for size, frames in windows:
        seconds = second_of_video(rows, size, frames)
        yield f"1 s of video, {size} px, windows of {frames}/{OVERLAP}: {seconds:.0f} s (computed: 25 steps, 30 fps)"


def measured(windows: list[tuple[int, int]], voices: list[int], runs: int) -> Iterator[Row]:
    from .bench_works import works

    for work in works(windows, voices):
        matmul = matrix_product(runs)
        forget_peak()
        yield Row(work.name, timed(work, runs), work.gflop, matmul, peak())


def timed(work: "Work", runs: int) -> float:
    once = work.slow and not torch.cuda.is_available()
    return median(work.run, 1 if once else runs, warm_up=not once)


def this_machine(runs: int) -> Machine:
    block = torch.zeros(1 << 28, device=device())
    copy = 2 * block.nbytes / 1e9 / median(lambda: block.clone(), runs)
    return Machine(processor(), torch.get_num_threads(), torch.__version__, matrix_product(runs), copy)


def matrix_product(runs: int) -> float:
    """GFLOP/s in the type the networks run in."""
    dtype = torch.float16 if torch.cuda.is_available() else torch.float32
    matrix = torch.randn(4096, 4096, device=device(), dtype=dtype)
    return 2 * 4096**3 / 1e9 / median(lambda: matrix @ matrix, runs)


def processor() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if cpuinfo.exists()
        else []
    )
    return names[0].split(":")[1].strip() if names else "a CPU"


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def median(work: Callable[[], object], runs: int, warm_up: bool = True) -> float:
    """Seconds by `clock`."""
    seconds = []
    for _ in range(runs + warm_up):
        started = clock()
        work()
        seconds.append(clock() - started)
    return statistics.median(seconds[warm_up:])


def clock() -> float:
    """Seconds; on the CPU those that its threads worked, so that other programs on the machine do not count."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()


def forget_peak() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif RESET_PEAK.exists():
        give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps what was freed
        if give_back is not None:
            give_back(0)
        RESET_PEAK.write_text("5")


def peak() -> int | None:
    """Bytes since `forget_peak`: of the GPU if there is one, else of the process, where its peak can be forgotten."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return peak_memory(os.getpid()) if RESET_PEAK.exists() else None
