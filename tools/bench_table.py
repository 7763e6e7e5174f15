"""The numbers of `dev.py bench`: the table, the ratio to other numbers, and what a second of video costs."""

from typing import NamedTuple

FPS, STEPS, OVERLAP = 30, 25, 4


class Machine(NamedTuple):
    """Numbers of different machines compare by what each does in a matrix product."""

    processor: str
    threads: int
    torch: str
    matmul: float  # GFLOP/s of a product of 4096
    copy: float  # GB/s, read and written


class Row(NamedTuple):
    """What was measured of one piece of work."""

    name: str
    seconds: float
    gflop: float  # of the reference implementation: work that is skipped counts as done
    matmul: float  # GFLOP/s of a matrix product just before
    memory: int | None  # bytes at most, where the system tells

    @property
    def share(self) -> float:
        """Of the rate of the matrix product."""
        return self.gflop / self.seconds / self.matmul


def table(rows: list[Row], baseline: list[Row]) -> list[str]:
    """Markdown; the last column is how many times as fast as in the baseline, matrix products being equal."""
    before = {row.name: row.share for row in baseline}
    lines = [
        "| work | seconds | GFLOP/s | of matmul | peak memory | to baseline |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        memory = "" if row.memory is None else f"{row.memory / 1e9:.1f} GB"
        ratio = f"{row.share / before[row.name]:.2f}" if row.name in before else ""
        cells = (f"{row.seconds:.2f}", f"{row.gflop / row.seconds:.0f}", f"{row.share:.2f}", memory, ratio)
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return lines


def step_name(size: int, frames: int) -> str:
    return f"denoising step, {frames} frames of {size} px"


def decode_name(size: int) -> str:
    return f"VAE decode, 1 frame of {size} px"


def audio_name(seconds: int) -> str:
    return f"voice, {seconds} s"


def second_of_video(rows: list[Row], size: int, frames: int) -> float:
    """Seconds that a second of a long video takes, computed from its parts."""
    seconds = {row.name: row.seconds for row in rows}
    steps = STEPS * FPS / (frames - OVERLAP)  # of one window each
    voice = seconds[audio_name(10)] / 10
    return steps * seconds[step_name(size, frames)] + FPS * seconds[decode_name(size)] + voice
