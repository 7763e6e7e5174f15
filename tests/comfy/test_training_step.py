"""What the networks are shown in a step of training."""

import pytest
import torch
from golden_weights import GOLDEN
from models import relative_error, tiny_model
from pack.vexpress.model.unet import AttentionWeights
from pack.vexpress.training import step
from pack.vexpress.training.clips import Sample
from pack.vexpress.training.dropout import Kept
from pack.vexpress.training.networks import load_networks
from pack.vexpress.training.objective import min_snr_weight
from pack.vexpress.training.step import Chance, Weights, batch_loss, batched, predict
from random_clips import CPU, draw_clip
from safetensors.torch import load_file

FORWARD = 2e-5  # relative L2


def test_a_clip_without_conditions_is_what_guidance_subtracts(checkpoints):
    networks = load_networks(checkpoints)
    batch = batched([draw_clip(3, torch.Generator().manual_seed(i)) for i in range(2)], CPU)
    kept = Kept(*(torch.tensor([True, False]) for _ in range(3)))
    with torch.no_grad():
        predicted = predict(networks, batch.latents, torch.tensor([500, 20]), batch, kept)
        net = tiny_model(checkpoints).model.diffusion_model
        unconditional = net(
            batch.latents[1],
            torch.full((3,), 20.0),
            torch.zeros(3, 5, 32),
            transformer_options={},
            reference=[None],
            kps_images=[None],
            voices=[False],
            weights=AttentionWeights(1.0, 1.0),
        )
    assert relative_error(predicted[1], unconditional) < FORWARD
    assert relative_error(predicted[0], predicted[1]) > 0.1


@pytest.mark.parametrize("condition", ["reference", "kps", "voice"])
def test_each_condition_reaches_its_own_clip_only(condition, checkpoints):
    networks = load_networks(checkpoints)
    batch = batched([draw_clip(3, torch.Generator().manual_seed(i)) for i in range(2)], CPU)
    everything = Kept(*(torch.tensor([True, True]) for _ in range(3)))
    without = everything._replace(**{condition: torch.tensor([True, False])})
    with torch.no_grad():
        t = torch.tensor([500, 20])
        whole, less = (predict(networks, batch.latents, t, batch, kept) for kept in (everything, without))
    assert relative_error(less[0], whole[0]) < FORWARD
    assert relative_error(less[1], whole[1]) > 0.1


def test_clips_of_a_batch_do_not_see_each_other(checkpoints):
    networks = load_networks(checkpoints)
    clips = [draw_clip(3, torch.Generator().manual_seed(i)) for i in range(2)]
    t = torch.tensor([500, 20])

    def predicted(chosen: slice) -> torch.Tensor:
        batch = batched(clips[chosen], CPU)
        everything = Kept(*(torch.ones(len(batch.latents), dtype=torch.bool) for _ in range(3)))
        return predict(networks, batch.latents, t[chosen], batch, everything)

    with torch.no_grad():
        together, alone = predicted(slice(2)), [predicted(slice(i, i + 1))[0] for i in range(2)]
    for i in range(2):
        assert relative_error(together[i], alone[i]) < FORWARD


def test_the_loss_of_a_step_is_that_of_the_golden_targets(monkeypatch):
    golden = load_file(GOLDEN / "training" / "f_training_targets.safetensors")
    latents, off = golden["x0"], torch.zeros_like(golden["x0"])
    off[..., 1, 2] = 2.0  # where the first clip has its mouth, the second its eyes
    frames = latents.shape[1]
    lips = torch.tensor([[16.0, 8, 24, 16], [0, 0, 0, 0]])[:, None].expand(-1, frames, -1)
    far, there = [[-90.0, -90], [-80, -90], [-85, -80]], [[19.0, 12], [21, 12], [20, 30]]
    kps = torch.tensor([far, there])[:, None].expand(-1, frames, -1, -1)
    shown = []

    def predicted(networks, noisy, *_):
        shown.append(noisy)
        return golden["velocity"] + off

    monkeypatch.setattr(step, "predict", predicted)
    batch = Sample(latents, latents[:, 0], kps, torch.zeros(0), lips)
    loss = batch_loss(None, batch, Chance(golden["noise"], golden["t"], None), Weights(lips=3.0, eyes=9.0))
    assert relative_error(shown[0], golden["noisy"]) < 1e-5
    snr = min_snr_weight(golden["t"])
    each = 4.0 / latents[0, 0, 0].numel()  # mean square of what is off
    assert loss.item() == pytest.approx(((3 * each * snr[0] + 9 * each * snr[1]) / 2).item(), rel=1e-4)
