import pytest
import torch
from pack.vexpress.training.dropout import DropRates, draw_kept

RATES = DropRates(everything=0.1, reference=0.2, kps=0.15, both=0.05)
CLIPS = 40_000


def kept_combinations(rates: DropRates) -> dict[tuple[bool, ...], float]:
    kept = torch.stack(draw_kept(CLIPS, rates, torch.Generator().manual_seed(0)), dim=1)
    combinations, counts = kept.unique(dim=0, return_counts=True)
    return {tuple(c): n / CLIPS for c, n in zip(combinations.tolist(), counts.tolist(), strict=True)}


def test_conditions_are_dropped_at_their_rates():
    expected = {  # reference, kps, voice
        (False, False, False): 0.1,
        (False, True, True): 0.2,
        (True, False, True): 0.15,
        (False, False, True): 0.05,
        (True, True, True): 0.5,
    }
    assert kept_combinations(RATES) == pytest.approx(expected, abs=0.01)


def test_nothing_is_dropped_at_rates_of_zero():
    assert kept_combinations(DropRates(0, 0, 0, 0)) == {(True, True, True): 1}


def test_everything_is_dropped_at_a_rate_of_one():
    assert kept_combinations(DropRates(everything=1)) == {(False, False, False): 1}


def test_a_seed_drops_the_same_again():
    first, second = (draw_kept(50, RATES, torch.Generator().manual_seed(7)) for _ in range(2))
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))
