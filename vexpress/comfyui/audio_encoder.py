"""wav2vec2 of transformers as ComfyUI's AUDIO_ENCODER, always in float32."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch
from torch import Tensor, nn

from ..audio import SAMPLE_RATE, resampled
from ..keys import load_weights
from ..model.wav2vec2 import (
    SAMPLES_AT_ONCE,
    WINDOW,
    PiecewiseConvolutions,
    Wav2Vec2,
    outputs,
    receptive_field,
    windows,
)
from ..untrusted import read_json
from .files import load_checkpoint
from .oom import memory_said
from .tell import Countdown

SAMPLES_PER_FEATURE = 320
MEMORY = 256 << 20  # bytes: the convolutions of one piece
HEARD = 40 << 10  # bytes: the transformer of wav2vec2-base on one feature
KEPT = 10 << 10  # bytes: a feature before and after it

TRAINING_ONLY = ("lm_head.", "quantizer.", "project_q.", "project_hid.", "masked_spec_embed")
MOST_CONFIG = 1 << 20  # bytes
MOST_WIDTH = 1 << 16
MOST_LAYERS = 100  # the largest model of the hub has 48
SIZES = {  # of the hub's config.json; all else in it is left alone
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("conv_dim", "conv_stride", "conv_kernel", "conv_bias", "feat_extract_norm", "feat_extract_activation"),
    *("num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "do_stable_layer_norm", "layer_norm_eps"),
}
AS_HERE = {
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "add_adapter": False,
    "attn_implementation": "sdpa",
}
RENAMED = {  # torch's names for the weight norm, then and now
    "pos_conv_embed.conv.weight_g": "pos_conv_embed.conv.parametrizations.weight.original0",
    "pos_conv_embed.conv.weight_v": "pos_conv_embed.conv.parametrizations.weight.original1",
}


class Attention(str, Enum):
    """How much of the voice each moment of it is compared with."""

    WHOLE = "whole voice"
    WINDOWS = "windows of 60 s (approximate)"


class AudioEncoder:
    """Called as core's audio encoders are, but without the states between the layers: 13 times the memory."""

    def __init__(self, network: nn.Module, attention: Attention = Attention.WHOLE):
        self.windowed = attention is Attention.WINDOWS
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
        mono = resampled(mono, sample_rate, SAMPLE_RATE)
        memory = memory_needed(*mono.shape, self.windowed)
        comfy.model_management.load_models_gpu([self.patcher], memory_required=memory)
        shorter = "take a shorter voice"
        if not self.windowed:
            shorter += ", or choose windows as attention of Load V-Express Audio Encoder"
        listening = f"while listening to {mono.shape[-1] / SAMPLE_RATE:.0f} s of voice"
        with watched(self.patcher.model.network, *mono.shape, self.windowed), memory_said(listening, shorter):
            features = self.patcher.model(mono.to(self.patcher.load_device), self.windowed)
        return {"encoded_audio": features, "audio_samples": mono.shape[-1]}


def memory_needed(voices: int, samples: int, windowed: bool) -> int:
    """Bytes that wav2vec2-base takes beside its weights."""
    features = samples // SAMPLES_PER_FEATURE
    heard = min(features, WINDOW) if windowed else features
    return MEMORY + voices * (heard * HEARD + features * KEPT)


@contextmanager
def watched(network: nn.Module, voices: int, samples: int, windowed: bool) -> Iterator[None]:
    """Shows how far a long voice has come, and lets Cancel through, at every piece and layer."""
    convolutions, layers = network.feature_extractor.conv_layers, network.encoder.layers
    passes = 2 * voices * math.ceil(samples / SAMPLES_AT_ONCE)  # its statistics, then its features
    spans = windows(outputs(samples, *receptive_field(convolutions)), windowed)
    in_all = passes + len(layers) * len(spans)
    bar, countdown = comfy.utils.ProgressBar(in_all), Countdown(in_all)

    def before(module: nn.Module, inputs: tuple) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update(1)
        countdown.tell(bar.current, f"{bar.current / in_all:.0%} of the voice heard")

    hooks = [module.register_forward_pre_hook(before) for module in (convolutions[0].conv, *layers)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def load_audio_encoder(path: str, attention: Attention = Attention.WHOLE) -> AudioEncoder:
    """Read a wav2vec2 file; sizes other than base are in the hub's config.json, beside it as <stem>.json."""
    config, source = config_path(path), os.path.basename(path)
    if not os.path.isfile(config):
        source += f" (read as wav2vec2-base, for want of a {os.path.basename(config)} beside it)"
    state_dict = _plain_layout(load_checkpoint(path))
    described = _read_config(config)
    try:
        network = build_wav2vec2(described)
    except Exception as error:  # transformers' own kinds, and torch's for sizes that contradict each other
        name = os.path.basename(config)
        raise ValueError(f"{name} describes no wav2vec2: {' '.join(str(error).split())}") from error
    load_weights(network, state_dict, source)
    return AudioEncoder(network, attention)


def config_path(path: str) -> str:
    return os.path.splitext(path)[0] + ".json"


def build_wav2vec2(config: dict[str, object]) -> nn.Module:
    """transformers' network without weights yet. config: the hub's, {} for wav2vec2-base"""
    from transformers import Wav2Vec2Config, Wav2Vec2Model  # takes seconds

    with torch.device("meta"):
        network = Wav2Vec2Model(Wav2Vec2Config(**{**config, **AS_HERE}))
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
    """The sizes in the hub's config.json, or nothing (which means wav2vec2-base) if there is none."""
    if not os.path.isfile(path):
        return {}
    name = os.path.basename(path)
    try:
        config = read_json(Path(path), MOST_CONFIG)
        kind = config["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{name} is no config.json of a wav2vec2 model.") from error
    if kind != "wav2vec2":
        raise ValueError(f"{name} is the config of a {kind}, not of a wav2vec2.")
    config = {key: value for key, value in config.items() if key in SIZES}
    _check_config(config, name)
    return config


def _check_config(config: dict[str, object], name: str) -> None:
    """What the weights' shapes do not tell, and what could grow beyond them."""
    sizes = {key: value for key, value in config.items() if isinstance(value, list)}
    numbers = [config[key] for key in SIZES & config.keys() if isinstance(config[key], int)]
    numbers += [number for values in sizes.values() for number in values]
    if not all(isinstance(number, int) and 0 <= number <= MOST_WIDTH for number in numbers):
        raise ValueError(f"{name} has sizes that are no whole numbers from 0 to {MOST_WIDTH}.")
    if max([config.get("num_hidden_layers", 0), *map(len, sizes.values())]) > MOST_LAYERS:
        raise ValueError(f"{name} asks for more than {MOST_LAYERS} layers.")
    epsilon = config.get("layer_norm_eps", 1e-5)
    if not (isinstance(epsilon, float) and 0 < epsilon < 1):
        raise ValueError(f"{name} has a layer_norm_eps of {epsilon}; it must be above 0 and below 1.")
    if "conv_stride" in sizes and math.prod(sizes["conv_stride"]) != SAMPLES_PER_FEATURE:
        raise ValueError(
            f"{name} has strides of {math.prod(sizes['conv_stride'])} samples; V-Express hears a feature every "
            f"{SAMPLES_PER_FEATURE}."
        )
