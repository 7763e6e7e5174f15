"""The tiny talker that is shipped: it fits, it loads as the released files do, and its mouth follows the voice."""

from argparse import Namespace

import pytest
import torch
from pack.tools.talker_file import TALKER_FILE, talker_weights
from pack.tools.talker_score import Film, Talker, true_film
from pack.tools.tiny_models import RELEASED, write_talker
from pack.vexpress.training.faces import draw

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
    said = [opening_seen(film, made) for film, made in films]
    right = [agreement(film.opening, seen) for (film, _), seen in zip(films, said, strict=True)]
    wrong = [
        agreement(film.opening, seen) for (film, _), seen in zip(films, said[1:] + said[:1], strict=True)
    ]
    assert sum(right) / len(right) > 0.6
    assert abs(sum(wrong) / len(wrong)) < 0.3


def test_the_measure_of_the_mouth_reads_true_films(films):
    for film, _ in films:
        assert agreement(film.opening, opening_seen(film, film.images)) > 0.95


def test_it_is_the_person_of_the_portrait(films):
    """The colours of the whole picture are nearest to those of its own portrait."""
    for film, made in films:
        distances = [(made.mean(0) - other.portrait).abs().mean() for other, _ in films]
        assert distances[[other is film for other, _ in films].index(True)] == min(distances)


def opening_seen(film: Film, images: torch.Tensor) -> torch.Tensor:
    """How far each mouth is open: which of the same person's mouths, drawn in the same place, it is most like. (F,)"""
    openings = torch.linspace(0, 1, 6)
    distances = []
    for opening in openings:
        moves = film.moves._replace(opening=torch.full_like(film.moves.opening, opening))
        drawn = draw(film.person, moves, images.shape[-1]).images
        off = (drawn - images).square().mean(1)  # (F, H, W)
        distances.append(
            torch.stack([around_the_mouth(o, k).mean() for o, k in zip(off, film.kps, strict=True)])
        )
    likeness = (-torch.stack(distances) / 0.01).softmax(0)  # (6, F)
    return (openings[:, None] * likeness).sum(0)


def around_the_mouth(picture: torch.Tensor, kps: torch.Tensor) -> torch.Tensor:
    eyes, nose = kps[:2].mean(0), kps[2]
    x, y = (nose + 0.8 * (nose - eyes)).round().long().tolist()
    return picture[y - 9 : y + 10, x - 11 : x + 12]


def agreement(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()
