"""The loop that teaches the autoencoder: first both halves, then the decoder alone, whose latents stand still."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..comfyui.disk import replace
from .autoencoder import Autoencoder, Picture, loss_of, signal_to_noise
from .config import cosine_rate
from .drawn import HELD_OUT, portraits
from .saving import write_tensors

BATCH = 16
EMA = 0.999
WARM_UP = 200  # steps
FINAL_RATE = 0.02
TELL_EVERY, SAVE_EVERY = 100, 500  # steps


@dataclass(frozen=True)
class AutoencoderConfig:
    steps: int
    learning_rate: float
    size: int  # of the pictures, in pixels
    seed: int
    decoder_only: bool = False


def pictures(seed: int, number: int, size: int, first_person: int = 0) -> Picture:
    drawn = portraits(seed, number, size, first_person).drawn
    return Picture(drawn.images, drawn.lip_box, drawn.kps[:, :2])


def teach(
    autoencoder: Autoencoder, config: AutoencoderConfig, output: Path, tell: Callable[[str], None] = print
) -> dict[str, Tensor]:
    """The weights' moving average after all steps. A run that stopped goes on from `output`."""
    autoencoder.to(memory_format=torch.channels_last)
    if config.decoder_only:
        autoencoder.taesd_encoder.requires_grad_(False)
    taught = [weight for weight in autoencoder.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(taught, betas=(0.9, 0.99), weight_decay=1e-3)
    average = {key: weight.detach().clone() for key, weight in autoencoder.state_dict().items()}
    taken = _restore(output, autoencoder, optimizer, average)
    held_out = pictures(config.seed, 64, config.size, HELD_OUT)
    for step in range(taken, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * cosine_rate(step, config.steps, WARM_UP, FINAL_RATE)
        loss = _loss(autoencoder, config, step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(taught, 1.0)
        optimizer.step()
        keep = min(EMA, (1 + step) / (10 + step))
        for key, weight in autoencoder.state_dict().items():
            average[key].lerp_(weight, 1 - keep)
        if (step + 1) % TELL_EVERY == 0:
            tell(f"autoencoder: step {step + 1} of {config.steps}, loss {loss.item():.4f}")
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == config.steps:
            _save(output, autoencoder, optimizer, average, step + 1)
            tell(f"autoencoder: {quality(autoencoder, average, held_out):.2f} dB on people it has not seen")
    return average


def _loss(autoencoder: Autoencoder, config: AutoencoderConfig, step: int) -> Tensor:
    batch = pictures(config.seed + step, BATCH, config.size)
    batch = batch._replace(images=batch.images.to(memory_format=torch.channels_last))
    cells = config.size // 8
    chance = torch.Generator().manual_seed(config.seed + step)
    with torch.autocast("cpu", torch.bfloat16):
        return loss_of(autoencoder, batch, torch.randn(BATCH, 4, cells, cells, generator=chance))


@torch.no_grad()
def quality(autoencoder: Autoencoder, weights: dict[str, Tensor], seen: Picture) -> float:
    """PSNR in dB, in float32."""
    now = {key: weight.clone() for key, weight in autoencoder.state_dict().items()}
    autoencoder.load_state_dict(weights)
    decoded = autoencoder.decode(autoencoder.encode(seen.images))
    autoencoder.load_state_dict(now)
    return signal_to_noise(decoded, seen.images)


def _save(output: Path, autoencoder: Autoencoder, optimizer, average: dict[str, Tensor], step: int) -> None:
    names = {id(weight): name for name, weight in autoencoder.named_parameters()}
    state = {f"weights.{key}": weight for key, weight in autoencoder.state_dict().items()}
    state |= {f"average.{key}": weight for key, weight in average.items()}
    for weight, kept in optimizer.state.items():
        state |= {f"{kind}.{names[id(weight)]}": value for kind, value in kept.items()}
    state = {key: value.contiguous() for key, value in state.items()} | {"taken": torch.tensor(step)}
    unfinished = output.with_suffix(".unfinished")
    write_tensors(unfinished, state, {})
    replace(unfinished, output)


def _restore(output: Path, autoencoder: Autoencoder, optimizer, average: dict[str, Tensor]) -> int:
    """The step to go on with."""
    if not output.exists():
        return 0
    state = load_file(output)
    taken = int(state.pop("taken"))
    parameters = dict(autoencoder.named_parameters())
    for key, value in state.items():
        kind, name = key.split(".", 1)
        if kind == "weights":
            parameters[name].data.copy_(value)
        elif kind == "average":
            average[name].copy_(value)
        else:
            optimizer.state[parameters[name]][kind] = value
    return taken
