import pytest
import torch
from golden_weights import GOLDEN
from pack.vexpress.training.objective import (
    box_mask,
    draw_noise,
    loss_per_clip,
    min_snr_weight,
    noised,
    velocity,
    weighted,
)
from safetensors.torch import load_file

GOLDEN_TARGETS = 1e-5  # relative L2


@pytest.fixture
def targets():
    return load_file(GOLDEN / "training" / "f_training_targets.safetensors")


@pytest.mark.parametrize("what, function", [("noisy", noised), ("velocity", velocity)])
def test_training_targets_are_golden(what, function, targets):
    result = function(targets["x0"], targets["noise"], targets["t"])
    assert (result - targets[what]).norm() / targets[what].norm() < GOLDEN_TARGETS


def test_the_loss_of_a_perfect_prediction_is_zero(targets):
    v = velocity(targets["x0"], targets["noise"], targets["t"])
    assert (loss_per_clip(v, targets["velocity"], targets["t"], torch.ones(())) < 1e-9).all()


def test_the_last_timestep_is_pure_noise():
    latents, noise = torch.ones(1, 2, 4, 3, 5), torch.full((1, 2, 4, 3, 5), 7.0)
    last = torch.tensor([999])
    torch.testing.assert_close(noised(latents, noise, last), noise, rtol=0, atol=0)
    torch.testing.assert_close(velocity(latents, noise, last), -latents, rtol=0, atol=0)


def test_clean_clips_count_no_more_than_a_signal_to_noise_ratio_of_four():
    t = torch.tensor([0, 100, 500, 999])
    clean = noised(torch.ones(4, 1), torch.zeros(4, 1), t)[:, 0].double().square()  # alpha
    snr = clean / (1 - clean)
    expected = torch.minimum(snr + 1, torch.tensor(5.0)) / (snr + 1)
    torch.testing.assert_close(min_snr_weight(t).double(), expected, rtol=1e-4, atol=0)
    assert min_snr_weight(t)[3] == 1 and min_snr_weight(t)[0] < 0.01


def test_the_loss_weighs_places_and_is_a_mean_per_clip():
    t = torch.tensor([999, 999])
    target = torch.zeros(2, 1, 4, 2, 3)
    prediction = torch.tensor([1.0, 2.0])[:, None, None, None, None].expand_as(target)
    lips = torch.zeros(2, 1, 1, 2, 3)
    lips[..., 0, :] = 1  # half of the picture
    loss = loss_per_clip(prediction, target, t, weighted(lips, 3.0))
    torch.testing.assert_close(loss, torch.tensor([1.0, 4.0]) * (1 + 3) / 2)


def test_noise_is_shifted_for_a_whole_clip():
    noise = draw_noise((200, 9, 4, 5, 7), torch.Generator().manual_seed(0))
    expected = 0.05**2 + 1 / (9 * 5 * 7)  # variance of the mean over a clip's frames and places
    assert noise.mean((1, 3, 4)).var() == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize(
    "box, rows, columns",
    [
        ((8, 16, 24, 32), [2, 3], [1, 2]),
        ((7, 16, 25, 33), [2, 3, 4], [0, 1, 2, 3]),
        ((-30, -9, 1, 1), [0], [0]),
        ((10, 10, 10, 10), [], []),
    ],
)
def test_latents_that_touch_the_lip_box_are_lips(box, rows, columns):
    mask = box_mask(torch.tensor([[box]], dtype=torch.float32), height=5, width=6)
    expected = torch.zeros(1, 1, 1, 5, 6)
    for row in rows:
        expected[..., row, columns] = 1
    assert mask.equal(expected)
