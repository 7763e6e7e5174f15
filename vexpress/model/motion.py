"""Motion modules: attention over the frames of one context window."""

from comfy.ldm.modules.attention import CrossAttention, FeedForward
from torch import Tensor, nn

from ..positions import sinusoid


class TemporalBlock(nn.Module):
    """Two self-attentions over time, then a feed-forward, each a residual branch."""

    def __init__(self, width: int, heads: int, **factory):
        super().__init__()

        def norm() -> nn.Module:
            dtype, device = factory["dtype"], factory["device"]
            return factory["operations"].LayerNorm(width, dtype=dtype, device=device)

        def attention() -> CrossAttention:
            return CrossAttention(width, heads=heads, dim_head=width // heads, **factory)

        self.attention_blocks = nn.ModuleList([attention(), attention()])
        self.norms = nn.ModuleList([norm(), norm()])
        self.ff = FeedForward(width, glu=True, **factory)
        self.ff_norm = norm()

    def forward(self, x: Tensor, transformer_options: dict) -> Tensor:
        """x: (B*L, F, C) every place of the picture as a sequence over time"""
        table = sinusoid(x.shape[1], x.shape[2], x.device).to(x.dtype)
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            x = x + attention(norm(x) + table, transformer_options=transformer_options)
        return x + self.ff(self.ff_norm(x))


class MotionModule(nn.Module):
    """AnimateDiff's temporal transformer, run after each spatial layer (SPEC 3)."""

    def __init__(self, channels: int, heads: int, dtype=None, device=None, operations=nn):
        super().__init__()
        factory = dict(dtype=dtype, device=device, operations=operations)
        self.norm = operations.GroupNorm(32, channels, eps=1e-6, dtype=dtype, device=device)
        self.proj_in = operations.Linear(channels, channels, dtype=dtype, device=device)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, heads, **factory)])
        self.proj_out = operations.Linear(channels, channels, dtype=dtype, device=device)

    def forward(self, x: Tensor, num_frames: int, transformer_options: dict) -> Tensor:
        """x: (B*F, C, H, W) windows of `num_frames` frames, folded into the batch"""
        frames, channels, height, width = x.shape
        folded = (-1, num_frames, channels, height * width)
        y = self.norm(x).view(folded).permute(0, 3, 1, 2).flatten(0, 1)  # (B*F, C, H, W) -> (B*L, F, C)
        y = self.proj_in(y)
        for block in self.transformer_blocks:
            y = block(y, transformer_options)
        y = self.proj_out(y)
        y = y.unflatten(0, (-1, height * width)).permute(0, 2, 3, 1)  # (B*L, F, C) -> (B, F, C, L)
        return (x.view(y.shape) + y).view_as(x)
