"""A small wav2vec2 that hears what moves lips: it learns to say how loud a voice is in each band of tones."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn

from ..audio import SAMPLE_RATE
from ..comfyui.audio_encoder import AS_HERE

FIELD, STRIDE = 400, 320  # samples that one feature sees, and from one feature to the next
BANDS = 24
QUIET = 1e-4  # of the loud moments' energy: nothing is heard below
LOUD = 0.95  # quantile of the moments
SECONDS = (1.0, 8.0)  # of what is listened to at once
BATCH = 8  # voices
LEARNING_RATE = 3e-3


def untrained(config: dict[str, object], seed: int) -> nn.Module:
    """transformers' wav2vec2 with random weights. config: as the hub's"""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(seed)
    still = {"layerdrop": 0.0} | {f"{p}_dropout": 0.0 for p in ("hidden", "attention", "feat_proj")}
    return Wav2Vec2Model(Wav2Vec2Config(**{**config, **AS_HERE, **still, "activation_dropout": 0.0}))


def bands_of(voice: Tensor) -> Tensor:
    """What is to be learnt, relative to the voice's loud moments: (N,) -> (S, 24), about -1..1"""
    mel = torchaudio.functional.melscale_fbanks(
        FIELD // 2 + 1, 60.0, 7000.0, BANDS, SAMPLE_RATE, norm=None, mel_scale="htk"
    )
    heard = voice.unfold(0, FIELD, STRIDE) * torch.hann_window(FIELD)  # (S, 400)
    energy = torch.fft.rfft(heard).abs().square() @ mel
    loud = energy.mean(1).quantile(LOUD).clamp(min=1e-6)
    return ((energy / loud + QUIET).log10() + 2) / 2


def learn_to_hear(
    network: nn.Module,
    voices: list[tuple[Tensor, Tensor]],
    held_out: list[tuple[Tensor, Tensor]],
    steps: int,
    tell: Callable[[str], None] = print,
) -> float:
    """
    voices:  as a microphone hears them and as they are, each (N,) at 16 kHz
    returns: the share of the variance in the held-out ones that it explains (R²)
    """
    ears = nn.Linear(network.config.hidden_size, BANDS)
    parameters = [*network.parameters(), *ears.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps, pct_start=0.1)
    for step in range(steps):
        seeds = range(step * BATCH, (step + 1) * BATCH)
        parts = [_cut(*voices[seed % len(voices)], seed) for seed in seeds]
        loss = sum(F.mse_loss(ears(_hear(network, heard)), bands_of(clean)) for heard, clean in parts) / BATCH
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            tell(f"hearing: step {step + 1} of {steps}, loss {loss.item():.4f}")
    with torch.no_grad():
        said = torch.cat([ears(_hear(network, heard)) for heard, _ in held_out])
        truth = torch.cat([bands_of(clean) for _, clean in held_out])
    return 1 - ((said - truth).square().mean() / truth.var(dim=0).mean()).item()


def _hear(network: nn.Module, voice: Tensor) -> Tensor:
    """(N,) -> (S, A)"""
    normal = (voice - voice.mean()) / (voice.var(correction=0) + 1e-7).sqrt()
    return network(normal[None]).last_hidden_state[0]


def _cut(heard: Tensor, clean: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(seed)
    share = torch.rand(2, generator=chance, dtype=torch.float64)
    length = SAMPLE_RATE * math.exp(
        math.log(SECONDS[0]) + float(share[0]) * (math.log(SECONDS[1]) - math.log(SECONDS[0]))
    )
    length = min(int(length), len(heard))
    start = int(float(share[1]) * (len(heard) - length))
    return heard[start : start + length], clean[start : start + length]
