"""The three stages of training: what each trains, on what, and what it starts from (SPEC 9)."""

import re
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from .dropout import DropRates

if TYPE_CHECKING:
    from .networks import Networks


class Stage(NamedTuple):
    frames: int  # per clip
    clips: int  # per step
    rates: DropRates


STAGES = {
    1: Stage(1, 8, DropRates(reference=0.1, kps=0.1, both=0.05)),  # the picture, from single frames
    2: Stage(20, 1, DropRates(reference=0.05, kps=0.05, both=0.05)),  # voice and motion
    3: Stage(8, 1, DropRates(reference=0.05, kps=0.05, both=0.05)),  # everything
}

VOICE_AND_MOTION = re.compile(r"audio_projection\.|unet\.motion_modules\.|unet\..*\.(attn2|norm2)\.")
ZEROED_AT_FIRST = re.compile(r"unet\.motion_modules\.\w+\.proj_out\.|unet\..*\.attn2\.to_out\.")


def trained_parameters(networks: "Networks", stage: int) -> dict[str, nn.Parameter]:
    """Lets a stage's parameters, and no others, take gradients."""
    frozen = _last_level(networks.reference_net)
    trained = {}
    for name, parameter in networks.named_parameters():
        belongs = stage == 3 or (stage == 2) == bool(VOICE_AND_MOTION.match(name))
        parameter.requires_grad_(belongs and not name.startswith(frozen))
        if parameter.requires_grad:
            trained[name] = parameter
    return trained


def _last_level(reference_net: nn.Module) -> tuple[str, ...]:
    """ReferenceNet's `up_blocks.3`: what comes after it is hardly used, and it is never trained."""
    blocks, last = len(reference_net.output_blocks), reference_net.num_res_blocks[0] + 1
    return tuple(f"reference_net.output_blocks.{i}." for i in range(blocks - last, blocks))


def begin(networks: "Networks", stage: int, behind: int) -> None:
    """Check that the stage before is done, and silence what is yet to be learnt: voice and motion before stage 2.

    behind: the highest stage that the weights have seen, 0 for none. What has been learnt is never zeroed.
    """
    if stage > behind + 1:
        raise ValueError(
            f"Stage {stage} continues stage {stage - 1}, which these weights do not have behind them: train that "
            f"first, or set trained_stage to {stage - 1} if they have."
        )
    if behind < 2:
        with torch.no_grad():
            for name, parameter in networks.named_parameters():
                if ZEROED_AT_FIRST.match(name):
                    parameter.zero_()
