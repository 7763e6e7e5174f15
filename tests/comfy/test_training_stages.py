"""Which parameters the three stages train, and what they start from."""

import pytest
from pack.vexpress.training.networks import load_networks
from pack.vexpress.training.stages import begin, trained_parameters
from random_clips import changed, weights_of

LAST_LEVEL = tuple(f"reference_net.output_blocks.{i}." for i in (9, 10, 11))


def kind(name: str) -> str:
    if name.startswith(LAST_LEVEL):
        return "frozen"
    of_unet = name.startswith("unet.")
    heard = name.startswith("audio_projection.") or (of_unet and (".attn2." in name or ".norm2." in name))
    return "voice and motion" if heard or "motion_modules" in name else "picture"


@pytest.mark.parametrize(
    "stage, kinds", [(1, {"picture"}), (2, {"voice and motion"}), (3, {"picture", "voice and motion"})]
)
def test_a_stage_trains_its_parameters_and_no_others(stage, kinds, checkpoints):
    networks = load_networks(checkpoints)
    trained = trained_parameters(networks, stage)
    assert set(trained) == {name for name, _ in networks.named_parameters() if kind(name) in kinds}
    assert set(trained) == {name for name, weight in networks.named_parameters() if weight.requires_grad}


def zero_at_start(networks) -> list[bool]:
    ends = (".attn2.to_out.0.weight", ".attn2.to_out.0.bias", ".proj_out.weight", ".proj_out.bias")
    weights = {name: w for name, w in networks.unet.named_parameters() if name.endswith(ends)}
    fresh = [w for n, w in weights.items() if "attn2" in n or n.startswith("motion_modules")]
    assert len(fresh) == 2 * (16 + 21)
    return [not weight.any() for weight in fresh]


@pytest.mark.parametrize(
    "stage, behind, zeroed", [(1, 0, True), (2, 1, True), (2, 2, False), (3, 2, False), (1, 3, False)]
)
def test_voice_and_motion_begin_at_zero_and_are_never_zeroed_again(stage, behind, zeroed, checkpoints):
    networks = load_networks(checkpoints)
    begin(networks, stage, behind)
    assert set(zero_at_start(networks)) == {zeroed}


@pytest.mark.parametrize("stage, behind", [(2, 0), (3, 0), (3, 1)])
def test_a_stage_without_the_one_before_is_refused(stage, behind, checkpoints):
    networks = load_networks(checkpoints)
    before = weights_of(networks)
    with pytest.raises(ValueError, match=f"^Stage {stage} continues stage {stage - 1}.*trained_stage"):
        begin(networks, stage, behind)
    assert not changed(before, networks)
