"""Gradient checkpointing: a layer's inside is computed again on the way back, instead of kept in memory."""

from torch import nn
from torch.utils.checkpoint import checkpoint

from .networks import Networks


def compute_again(networks: Networks) -> None:
    """Make both UNets keep only what passes between their layers."""
    for unet in (networks.unet, networks.reference_net):
        for block in (*unet.input_blocks, unet.middle_block, *unet.output_blocks):
            for layer in block:
                _compute_again(layer)
    for module in networks.unet.motion_modules.values():
        _compute_again(module)


def _compute_again(layer: nn.Module) -> None:
    forward = layer.forward

    def checkpointed(*inputs, **named):
        # ComfyUI goes on to write in its transformer_options, and the second time must see them as the first did
        inputs = tuple(dict(value) if isinstance(value, dict) else value for value in inputs)
        return checkpoint(forward, *inputs, use_reentrant=False, preserve_rng_state=False, **named)

    layer.forward = checkpointed
