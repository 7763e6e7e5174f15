"""What became of every clip that was to be prepared."""

import csv
from collections import Counter
from pathlib import Path

KEPT, KEPT_BEFORE = "kept", "kept before"


class LeftOut(Exception):
    """A clip that is not learnt from, and why: a few words that are counted, and a sentence."""

    def __init__(self, why: str, sentence: str):
        super().__init__(sentence)
        self.why = why


def printable(text: str) -> str:
    """With what a file's name holds that is not UTF-8 written out."""
    return text.encode("utf-8", "backslashreplace").decode()


class Report:
    """A CSV file that grows as clips are done: the clip, its file, what became of it, and details."""

    def __init__(self, path: Path):
        self.path, self.counts = path, Counter()

    def __enter__(self) -> "Report":
        self._file = open(self.path, "w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._rows.writerow(["clip", "file", "result", "details"])
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def add(self, clip: str, file: Path | None, result: str, details: str) -> None:
        self._rows.writerow([clip, "" if file is None else printable(file.name), result, details])
        self._file.flush()
        self.counts[result] += 1

    @property
    def summary(self) -> str:
        kept, before = self.counts[KEPT], self.counts[KEPT_BEFORE]
        text = f"{kept + before} of {self.counts.total()} clips are kept, {before} of them from before"
        left_out = {why: n for why, n in self.counts.most_common() if why not in (KEPT, KEPT_BEFORE)}
        if left_out:
            text += f"; left out: {', '.join(f'{n} {why}' for why, n in left_out.items())}"
        return f"{text}. {self.path} has a line for each."
