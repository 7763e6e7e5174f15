"""The tiny talker that is shipped: it fits, it loads as the released files do, and its mouth follows the voice."""

from argparse import Namespace

import pytest
import torch
from pack.tools.talker_file import TALKER_FILE, talker_weights
from pack.tools.talker_score import Film, Talker, true_film
from pack.tools.tiny_models import RELEASED, write_talker

MOST_BYTES = 14_000_000
SETTINGS = Namespace(steps=10, cfg=2.0, reference_weight=1.0, audio_weight=1.0)


def test_it_is_small():
    assert TALKER_FILE.stat().st_size < MOST_BYTES


def test_it_has_all_of_the_released_files(tmp_path):
    write_talker(tmp_path)
    assert all((tmp_path / file).stat().st_size > 1000 for file in RELEASED)


def test_all_of_its_weights_are_finite():
    for network in talker_weights().values():
        assert all(weight.isfinite().all() for weight in network.values())


@pytest.fixture(scope="module")
def films() -> list[tuple[Film, torch.Tensor]]:
    talker = Talker()
    with torch.inference_mode():
        return [(film, talker.film(film, i, SETTINGS)) for i, film in enumerate(map(true_film, range(3)))]


def test_the_mouth_follows_the_voice_and_no_other(films):
    right = [agreement(seen_of(film, film.images), seen_of(film, made)) for film, made in films]
    wrong = [
        agreement(seen_of(other, other.images), seen_of(film, made))
        for (film, made), (other, _) in zip(films, films[1:] + films[:1], strict=True)
    ]
    assert sum(right) / len(right) > 0.5
    assert abs(sum(wrong) / len(wrong)) < 0.25


def test_it_is_the_person_of_the_portrait(films):
    """The colours of the whole picture are nearest to those of its own portrait."""
    for film, made in films:
        distances = [(made.mean(0) - other.portrait).abs().mean() for other, _ in films]
        assert distances[[other is film for other, _ in films].index(True)] == min(distances)


def seen_of(film: Film, images: torch.Tensor) -> torch.Tensor:
    """How dark the place of the mouth is in each frame, where an open one is: (F,)"""
    nose, eyes = film.kps[:, 2], film.kps[:, :2].mean(1)
    mouths = (nose + 0.75 * (nose - eyes)).round().long()
    return torch.stack(
        [
            picture[:, y - 5 : y + 6, x - 7 : x + 8].mean()
            for picture, (x, y) in zip(images, mouths.tolist(), strict=True)
        ]
    )


def agreement(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()
