"""What a checkpoint is made of, read off the shapes of its weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

POSITIONAL_TABLE = "pos_encoder.pe"
MOST_LEVELS = 16  # of a UNet; the released one has 4


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of an SD 1.5 UNet in the diffusers layout; the defaults are the released model."""

    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    attention: tuple[bool, ...] = (True, True, True, False)
    context_width: int = 768
    latent_channels: int = 4
    heads: int = 8

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], source: str = "The file") -> "UNetConfig":
        """Read the sizes of a UNet whose weights carry diffusers' names, or raise naming `source` and what it lacks."""
        try:
            return cls._of(weights)
        except KeyError as error:
            raise ValueError(f"{source} lacks {error.args[0]}, which tells the size of its UNet.") from error
        except IndexError as error:
            raise ValueError(
                f"{source} has weights of too few dimensions to tell the size of its UNet."
            ) from error

    @classmethod
    def _of(cls, weights: Mapping[str, Tensor]) -> "UNetConfig":
        numbers = re.findall(r"down_blocks\.(\d{1,3})\.", " ".join(weights))
        levels = range(min(1 + max(map(int, numbers), default=0), MOST_LEVELS))
        to_k = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
        return cls(
            channels=tuple(weights[f"down_blocks.{i}.resnets.0.conv2.weight"].shape[0] for i in levels),
            layers=sum(f"down_blocks.0.resnets.{i}.conv1.weight" in weights for i in range(16)),
            attention=tuple(f"down_blocks.{i}.attentions.0.norm.weight" in weights for i in levels),
            context_width=weights[to_k].shape[1],
            latent_channels=weights["conv_in.weight"].shape[1],
        )


def guider_channels(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Channels of the V-Kps guider's stages, (16, 32, 96, 256) as released."""
    stages = [weights["conv_in.weight"].shape[0]]
    while f"blocks.{2 * len(stages) - 1}.weight" in weights:
        stages.append(weights[f"blocks.{2 * len(stages) - 1}.weight"].shape[0])
    return tuple(stages)


def longest_window(weights: Mapping[str, Tensor]) -> int:
    """Frames that the motion modules have positions for, 32 as released."""
    tables = [table for key, table in weights.items() if key.endswith(POSITIONAL_TABLE)]
    if not tables:
        raise ValueError(f"no {POSITIONAL_TABLE} tells how many frames the motion modules know.")
    return min(table.shape[1] for table in tables)
