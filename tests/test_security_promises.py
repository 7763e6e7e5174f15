"""Each promise of SECURITY.md names tests that exist."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "SECURITY.md").read_text("utf-8")
PROMISES = re.split(r"^\d+\. ", TEXT, flags=re.M)[1:]
KNOWN = {
    name
    for file in TESTS.rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.M)
}


def test_there_are_ten():
    assert len(PROMISES) == 10


@pytest.mark.parametrize("promise", PROMISES, ids=range(1, len(PROMISES) + 1))
def test_a_test_holds_each_promise(promise):
    named = re.findall(r"`(test_\w+)`", promise)
    assert named and set(named) <= KNOWN
