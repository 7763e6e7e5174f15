"""The rows of `dev.py ablation` as Markdown: means over the seeds, and how far apart these lie."""

import csv
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

MEASURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "gap": ("gap", lambda share: f"{100 * share:.1f} %"),
    "mouth": ("mouth r", "{:.2f}".format),
    "kps": ("V-Kps, px", "{:.2f}".format),
    "found": ("person", lambda share: f"{100 * share:.0f} %"),
}


def table(path: Path) -> list[str]:
    """path: ablation.csv"""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    settings = ("training", "equal", "dropout", "lip_weight")
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in settings), []).append(row)
    titles = [title for title, _ in MEASURES.values()]
    lines = ["| training | dropout | lip weight | seeds | " + " | ".join(titles) + " |", "|---" * 8 + "|"]
    for (training, equal, dropout, lips), group in sorted(groups.items(), key=_order):
        how = training if training == "staged" else f"{training}, equal {equal}"
        cells = [how, f"{float(dropout):.0%}".replace("%", " %"), lips, str(len(group))]
        cells += [_cell([float(row[key]) for row in group], told) for key, (_, told) in MEASURES.items()]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _order(item: tuple) -> tuple:
    training, equal, dropout, lips = item[0]
    return training != "staged", equal, -float(dropout), -float(lips)


def _cell(values: Sequence[float], told: Callable[[float], str]) -> str:
    mean = told(statistics.fmean(values))
    return mean if len(values) == 1 else f"{mean} ({told(min(values))} to {told(max(values))})"
