"""What a node says of a long job."""

import pytest
from pack.vexpress.comfyui import tell
from pack.vexpress.comfyui.tell import Countdown


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(tell.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(tell, "tell", lines.append)
    return lines


def test_what_is_left_takes_as_long_for_each_as_what_was_done(clock):
    countdown = Countdown(50, before=10)
    clock[0] += 20
    assert countdown.words(20, "20 of 50 frames") == "20 of 50 frames, about 60 s left."
    clock[0] += 60
    assert countdown.words(50, "50 of 50 frames") == "50 of 50 frames in 80 s."


def test_a_short_job_says_nothing(clock, said):
    countdown = Countdown(10)
    for done in range(1, 11):
        clock[0] += 0.05
        countdown.tell(done, "")
    assert said == []


def test_a_long_job_speaks_now_and_then_and_at_its_end(clock, said):
    countdown = Countdown(10)
    for done in range(1, 11):
        clock[0] += 0.6
        countdown.tell(done, f"{done} of 10")
    assert said == [
        "2 of 10, about 5 s left.",
        "4 of 10, about 4 s left.",
        "6 of 10, about 2 s left.",
        "8 of 10, about 1 s left.",
        "10 of 10 in 6 s.",
    ]
