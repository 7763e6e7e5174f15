"""What the ruler reads, and what is said of films by it."""

import torch
from pack.vexpress.training.drawn import portraits
from pack.vexpress.training.likeness import learn_likeness
from pack.vexpress.training.ruler import Film, Ruler, Truth, calibrate, read, score, score_mouths

SIZE = 64


def truth_of(drawn) -> Truth:
    moves = drawn.motion
    return Truth(moves.opening.float(), moves.width.float(), drawn.drawn.kps)


def test_it_learns_to_read():
    some = portraits(1, 16, SIZE)
    truth = truth_of(some)

    def batches():
        while True:
            yield some.drawn.images, truth

    torch.manual_seed(0)
    ruler = Ruler(SIZE)
    calibrate(ruler, batches(), 80, tell=lambda line: None)
    said = read(ruler, some.drawn.images)
    assert torch.corrcoef(torch.stack([said.opening, truth.opening]))[0, 1] > 0.9
    assert (said.kps - truth.kps).norm(dim=-1).mean() < 2


def voices() -> list[torch.Tensor]:
    chance = torch.Generator().manual_seed(1)
    return [torch.rand(40, generator=chance) for _ in range(3)]


def test_a_perfect_mouth_scores_one_and_another_ones_voice_nothing():
    result = score_mouths(voices(), voices())
    assert abs(result.mouth - 1) < 1e-6 and abs(result.mouth_alone - 1) < 1e-6
    assert abs(result.amplitude - 1) < 1e-6 and abs(result.change - 1) < 1e-6
    assert abs(result.wrong_voice) < 0.2


def test_half_the_movement_shows():
    result = score_mouths([track / 2 for track in voices()], voices())
    assert abs(result.amplitude - 0.5) < 1e-3 and abs(result.change - 0.5) < 1e-6


class Known(torch.nn.Module):
    """A ruler for pictures that carry their own V-Kps."""

    def __init__(self, kps: torch.Tensor):
        super().__init__()
        self.kps = kps

    def forward(self, images: torch.Tensor) -> Truth:
        return Truth(images[:, 0, 0, 0], images[:, 0, 0, 0], self.kps[: len(images)])


def test_people_are_recognised_in_pictures_that_were_not_learnt_from():
    known = portraits(1, 160, SIZE, each=8)
    likeness = learn_likeness(known.drawn.images.unflatten(0, (20, 8)), known.drawn.kps.unflatten(0, (20, 8)))
    strangers = portraits(50, 96, SIZE, each=8).drawn
    people = likeness.of(strangers.images, strangers.kps).unflatten(0, (12, 8))
    near = torch.cdist(people[:, 1:].mean(1), people[:, 0]).argmin(1)
    assert (near == torch.arange(12)).float().mean() > 0.9


def test_kps_are_off_by_their_distance_and_the_wrong_person_is_not_found():
    shown = portraits(50, 24, SIZE, each=8).drawn
    likeness = learn_likeness(shown.images.unflatten(0, (3, 8)), shown.kps.unflatten(0, (3, 8)))
    images, kps, opening = shown.images.split(8), shown.kps[:8], torch.rand(8)
    off = kps + torch.tensor([3.0, 4.0])
    films = [Film(of, of[0], opening, off) for of in images]
    result = score(films, Known(kps), likeness)
    assert abs(result.kps - 5) < 1e-5 and result.found == 1
    films = [
        film._replace(portrait=other[0]) for film, other in zip(films, images[1:] + images[:1], strict=True)
    ]
    assert score(films, Known(kps), likeness).found == 0
