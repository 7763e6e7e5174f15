"""Gradient checkpointing: the same gradients, with a part of the memory."""

import pytest
import torch
from pack.vexpress.training.checkpointing import compute_again
from pack.vexpress.training.dropout import Kept
from pack.vexpress.training.networks import load_networks
from pack.vexpress.training.stages import trained_parameters
from pack.vexpress.training.step import Chance, Weights, batch_loss, batched
from random_clips import CPU, SIZE, draw_clip


@pytest.fixture(autouse=True)
def no_gradients():
    """Unlike a node, training needs gradients."""


def gradients(networks) -> tuple[dict, int]:
    """Also the numbers that were kept for them."""
    kept = 0

    def keep(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    clips = batched([draw_clip(3, torch.Generator().manual_seed(i)) for i in range(2)], CPU)
    noise = torch.randn(2, 3, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    withheld = Kept(*(torch.tensor(kept) for kept in ([True, False], [True, True], [False, True])))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = batch_loss(
            networks, clips, Chance(noise, torch.tensor([900, 600]), withheld), Weights(3.0, 2.0)
        )
    loss.backward()
    return {name: weight.grad for name, weight in networks.named_parameters()}, kept


def test_checkpointing_changes_memory_and_no_gradient(checkpoints):
    networks = load_networks(checkpoints)
    trained = trained_parameters(networks, 3)
    expected, much = gradients(networks)
    networks.zero_grad()
    compute_again(networks)
    result, little = gradients(networks)
    assert little < 0.2 * much
    for name in trained:
        if expected[name] is None:
            assert result[name] is None, name
        else:
            torch.testing.assert_close(result[name], expected[name], rtol=1e-5, atol=1e-7)
