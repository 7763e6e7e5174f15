"""Times and sizes as a person would say them."""

import pytest
from pack.vexpress.estimate import in_bytes, in_words, video_bytes


@pytest.mark.parametrize(
    "seconds, words",
    [
        (0.4, "0 s"),
        (45, "45 s"),
        (99, "99 s"),
        (100, "2 min"),
        (719, "12 min"),
        (5950, "99 min"),
        (6000, "1 h 40 min"),
        (12000, "3 h 20 min"),
        (3600 * 30 + 30, "30 h 0 min"),
    ],
)
def test_times(seconds, words):
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    "number, words", [(0, "0 MB"), (7.3e8, "730 MB"), (9.996e8, "1.0 GB"), (1.24e9, "1.2 GB")]
)
def test_sizes(number, words):
    assert in_bytes(number) == words


def test_an_hour_of_512_pixels_fits_on_a_gigabyte():
    assert 0.5e9 < video_bytes(30 * 3600, 512, 512, crf=23) < 1e9
