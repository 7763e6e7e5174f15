"""What the ruler reads, and what is said of films by it."""

import torch
from pack.vexpress.training.drawn import portraits
from pack.vexpress.training.ruler import Ruler, Truth, calibrate, person_of, read, score

SIZE = 64


def truth_of(drawn) -> Truth:
    moves = drawn.motion
    return Truth(moves.opening.float(), moves.width.float(), drawn.drawn.kps, person_of(drawn.people))


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


def films(opening):
    people = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    kps = [torch.full((40, 3, 2), float(i)) for i in range(3)]
    said = [
        Truth(o, o, k + torch.tensor([3.0, 4.0]), p.expand(40, 20))
        for o, k, p in zip(opening, kps, people, strict=True)
    ]
    return said, kps, people


def test_a_perfect_mouth_scores_one_and_another_ones_voice_nothing():
    chance = torch.Generator().manual_seed(1)
    opening = [torch.rand(40, generator=chance) for _ in range(3)]
    said, kps, people = films(opening)
    result = score(said, opening, kps, people)
    assert abs(result.mouth - 1) < 1e-6 and abs(result.mouth_alone - 1) < 1e-6
    assert abs(result.amplitude - 1) < 1e-6 and abs(result.change - 1) < 1e-6
    assert abs(result.wrong_voice) < 0.2 and abs(result.kps - 5) < 1e-5 and result.found == 1


def test_half_the_movement_and_the_wrong_person_show():
    chance = torch.Generator().manual_seed(1)
    opening = [torch.rand(40, generator=chance) for _ in range(3)]
    said, kps, people = films([track / 2 for track in opening])
    result = score(said, opening, kps, people.roll(1, 0))
    assert abs(result.amplitude - 0.5) < 1e-3 and abs(result.change - 0.5) < 1e-6 and result.found == 0
