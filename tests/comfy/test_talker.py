"""The tiny talker that is shipped: it fits, it loads as the released files do, and its mouth follows the voice."""

from argparse import Namespace
from typing import NamedTuple

import pytest
import torch
from pack.tools.talker import ears, load_autoencoder, unpack_shipped
from pack.tools.talker_file import TALKER_FILE, stored_weights, talker_weights
from pack.tools.talker_score import Talker, stranger, true_film
from pack.tools.tiny_models import RELEASED, write_talker
from pack.vexpress.training.faces import draw
from pack.vexpress.training.networks import load_networks, trained_stage
from pack.vexpress.training.ruler import Film

MOST_BYTES = 14_000_000
SETTINGS = Namespace(steps=10, cfg=1.0, reference_weight=1.0, audio_weight=0.9)


def test_it_is_small():
    assert TALKER_FILE.stat().st_size < MOST_BYTES


def test_it_has_all_of_the_released_files(tmp_path):
    write_talker(tmp_path)
    assert all((tmp_path / file).stat().st_size > 1000 for file in RELEASED)


def test_all_of_its_weights_are_finite():
    for network in talker_weights().values():
        assert all(weight.isfinite().all() for weight in network.values())


class Shown(NamedTuple):
    index: int
    true: Film
    made: torch.Tensor


@pytest.fixture(scope="module")
def films() -> list[Shown]:
    talker, shown = Talker(), []
    with torch.inference_mode():
        for index in range(3):
            heard, film = true_film(index)
            shown.append(Shown(index, film, talker.film(film, heard, index, SETTINGS)))
    return shown


def test_the_mouth_follows_the_voice_and_no_other(films):
    said = [opening_seen(film, film.made) for film in films]
    right = [agreement(film.true.opening, seen) for film, seen in zip(films, said, strict=True)]
    wrong = [
        agreement(film.true.opening, seen) for film, seen in zip(films, said[1:] + said[:1], strict=True)
    ]
    assert sum(right) / len(right) > 0.7
    assert abs(sum(wrong) / len(wrong)) < 0.3


def test_the_measure_of_the_mouth_reads_true_films(films):
    for film in films:
        assert agreement(film.true.opening, opening_seen(film, film.true.images)) > 0.95


def test_it_is_the_person_of_the_portrait(films):
    """The colours of the whole picture are nearest to those of its own portrait."""
    for film in films:
        distances = [(film.made.mean(0) - other.true.portrait).abs().mean() for other in films]
        assert distances[film.index] == min(distances)


def opening_seen(film: Shown, images: torch.Tensor) -> torch.Tensor:
    """How far each mouth is open: which of the same person's mouths, drawn in the same place, it is most like. (F,)"""
    _, person, moves = stranger(film.index)
    openings = torch.linspace(0, 1, 6)
    distances = []
    for opening in openings:
        drawn = draw(
            person, moves._replace(opening=torch.full_like(moves.opening, opening)), images.shape[-1]
        )
        off = (drawn.images - images).square().mean(1)  # (F, H, W)
        near = [around_the_mouth(o, k).mean() for o, k in zip(off, film.true.kps, strict=True)]
        distances.append(torch.stack(near))
    likeness = (-torch.stack(distances) / 0.01).softmax(0)  # (6, F)
    return (openings[:, None] * likeness).sum(0)


def around_the_mouth(picture: torch.Tensor, kps: torch.Tensor) -> torch.Tensor:
    eyes, nose = kps[:2].mean(0), kps[2]
    x, y = (nose + 0.8 * (nose - eyes)).round().long().tolist()
    return picture[y - 9 : y + 10, x - 11 : x + 12]


def agreement(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()


def test_the_shipped_one_can_be_taught_on(tmp_path):
    unpack_shipped(tmp_path)
    networks = load_networks(tmp_path / "shipped")
    stored = networks.parts(networks.state_dict())["audio_projection"]
    assert torch.equal(stored["latents"], stored_weights("audio_projection")["latents"])
    assert trained_stage(tmp_path / "shipped") == 3
    assert ears(tmp_path)(torch.zeros(1, 16000)).isfinite().all()
    load_autoencoder(tmp_path / "decoder.safetensors")


def test_a_talker_of_ones_own_is_not_replaced_by_the_shipped_one(tmp_path):
    (tmp_path / "wav2vec2.safetensors").write_bytes(b"mine")
    with pytest.raises(SystemExit, match="holds a talker of its own"):
        unpack_shipped(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["wav2vec2.safetensors"]
