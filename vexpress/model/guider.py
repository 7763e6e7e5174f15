"""The V-Kps guider: a small convolutional net that turns drawn V-Kps into features for the UNet."""

import torch.nn.functional as F
from torch import Tensor, nn


class VKpsGuider(nn.Module):
    """Three stride-2 stages bring the picture to latent size (SPEC 5). Carries the checkpoint's names."""

    def __init__(self, channels: tuple[int, ...], out_channels: int, dtype=None, device=None, operations=nn):
        super().__init__()

        def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
            return operations.Conv2d(inputs, outputs, 3, stride, padding=1, dtype=dtype, device=device)

        self.conv_in = conv(3, channels[0])
        self.blocks = nn.ModuleList()
        for inputs, outputs in zip(channels[:-1], channels[1:], strict=True):
            self.blocks += [conv(inputs, inputs), conv(inputs, outputs, stride=2)]
        self.conv_out = conv(channels[-1], out_channels)

    def forward(self, images: Tensor) -> Tensor:
        """
        images:  (F, 3, H, W) drawn V-Kps, RGB in 0..1
        returns: (F, C, H/8, W/8) to be added after the UNet's first convolution
        """
        x = F.silu(self.conv_in(images))
        for block in self.blocks:
            x = F.silu(block(x))
        return self.conv_out(x)
