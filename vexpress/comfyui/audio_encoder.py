"""wav2vec2 of transformers as ComfyUI's AUDIO_ENCODER, always in float32."""

import json
import os

import comfy.model_management
import comfy.model_patcher
import torch
import torchaudio
from torch import Tensor, nn

from ..audio import SAMPLE_RATE
from ..keys import load_weights
from ..model.wav2vec2 import PiecewiseConvolutions
from .files import load_checkpoint

MEMORY = 256 << 20  # bytes: the convolutions of one piece
MEMORY_PER_SAMPLE = 128  # bytes: the transformer of wav2vec2-base, 40 kB for a feature

TRAINING_ONLY = ("lm_head.", "quantizer.", "project_q.", "project_hid.", "masked_spec_embed")
NO_MASKING = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
RENAMED = {  # torch's names for the weight norm, then and now
    "pos_conv_embed.conv.weight_g": "pos_conv_embed.conv.parametrizations.weight.original0",
    "pos_conv_embed.conv.weight_v": "pos_conv_embed.conv.parametrizations.weight.original1",
}


class AudioEncoder:
    """Called as core's audio encoders are, but without the states between the layers: 13 times the memory."""

    def __init__(self, network: nn.Module):
        self.patcher = comfy.model_patcher.ModelPatcher(  # the dynamic one wants ComfyUI's own layers
            Wav2Vec2(network),
            load_device=comfy.model_management.text_encoder_device(),
            offload_device=comfy.model_management.text_encoder_offload_device(),
        )

    def encode_audio(self, waveform: Tensor, sample_rate: int) -> dict[str, object]:
        """
        waveform: (B, C, N) samples at `sample_rate`
        returns:  "encoded_audio" (B, S, A), one feature every 20 ms
        """
        mono = waveform.float().mean(dim=1)
        mono = torchaudio.functional.resample(mono, sample_rate, SAMPLE_RATE)
        memory = MEMORY + MEMORY_PER_SAMPLE * mono.numel()
        comfy.model_management.load_models_gpu([self.patcher], memory_required=memory)
        features = self.patcher.model(mono.to(self.patcher.load_device))
        return {"encoded_audio": features, "audio_samples": mono.shape[-1]}


class Wav2Vec2(nn.Module):
    """Lets ComfyUI note the device on the module, which transformers' own class forbids."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, waveform: Tensor) -> Tensor:
        return self.network(waveform, output_hidden_states=False).last_hidden_state


def load_audio_encoder(path: str) -> AudioEncoder:
    """Read a wav2vec2 file; sizes other than base are in the hub's config.json, beside it as <stem>.json."""
    config_path = os.path.splitext(path)[0] + ".json"
    source = os.path.basename(path)
    if not os.path.isfile(config_path):
        source += f" (read as wav2vec2-base, for want of a {os.path.basename(config_path)} beside it)"
    state_dict = _plain_layout(load_checkpoint(path))
    network = build_wav2vec2(_read_config(config_path))
    load_weights(network, state_dict, source)
    return AudioEncoder(network)


def build_wav2vec2(config: dict[str, object]) -> nn.Module:
    """transformers' network without weights yet. config: the hub's, {} for wav2vec2-base"""
    from transformers import Wav2Vec2Config, Wav2Vec2Model  # takes seconds

    with torch.device("meta"):
        network = Wav2Vec2Model(Wav2Vec2Config(**{**config, **NO_MASKING, "attn_implementation": "sdpa"}))
    network.feature_extractor = PiecewiseConvolutions(network.feature_extractor.conv_layers)
    return network.eval()


def _plain_layout(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Float32 weights by the names of transformers' Wav2Vec2Model, whichever way they were saved."""
    plain = {}
    for key, weight in state_dict.items():
        key = key.removeprefix("wav2vec2.")
        for old, new in RENAMED.items():
            key = key.replace(old, new)
        if not key.startswith(TRAINING_ONLY):
            plain[key] = weight.float()
    return plain


def _read_config(path: str) -> dict[str, object]:
    """The hub's config.json, or nothing (which means wav2vec2-base) if there is none."""
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        if config["model_type"] == "wav2vec2":
            return config
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{os.path.basename(path)} is no config.json of a wav2vec2 model.") from error
    raise ValueError(
        f"{os.path.basename(path)} is the config of a {config['model_type']}, not of a wav2vec2."
    )
