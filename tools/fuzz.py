"""Hostile files, voices, pictures and widgets for some minutes: tests/comfy/test_fuzz.py again and again, never the same."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "comfy" / "test_fuzz.py"
TIMES = 4  # as many cases in a round as in the ordinary tests


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", default="", help="as pytest's -k: json, damaged, voice, pictures or widget")
    options = parser.parse_args(arguments)
    deadline, outcomes, failed = time.monotonic() + 60 * options.minutes, Counter(), 0
    while time.monotonic() < deadline:
        code, counted = _round(options.only)
        outcomes += counted
        failed += code != 0
        print(f"{outcomes.total()} outcomes: {dict(outcomes)}; {failed} rounds with defects", flush=True)
    return int(failed > 0)


def _round(only: str) -> tuple[int, Counter]:
    """The exit code of pytest, and how many outcomes of each kind there were."""
    pytest = Path(sys.executable).with_name("pytest")
    with tempfile.TemporaryDirectory() as folder:
        count = Path(folder, "count.jsonl")
        seed = int.from_bytes(os.urandom(4), "little") or 1
        told = {
            "V_EXPRESS_FUZZ": str(TIMES),
            "V_EXPRESS_FUZZ_SEED": str(seed),
            "V_EXPRESS_FUZZ_COUNT": str(count),
        }
        command = [pytest, "-q", TESTS, f"--hypothesis-seed={seed}", *(["-k", only] if only else [])]
        code = subprocess.call(command, cwd=ROOT, env=os.environ | told)
        lines = count.read_text("utf-8").splitlines() if count.exists() else []
    return code, sum(map(Counter, map(json.loads, lines)), Counter())
