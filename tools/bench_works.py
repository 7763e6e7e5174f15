"""What `dev.py bench` measures: the full-size networks, with weights built by rule, as the nodes run them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from comfy.model_management import get_torch_device, load_models_gpu, unet_dtype, unet_manual_cast
from torch import Tensor

from . import model_shapes
from .bench_table import audio_name, decode_name, step_name

SIZES = model_shapes.Sizes()
# Multiply-add counts as 2. At 256 pixels attention is a sixteenth of what it is at 512, the rest a quarter.
STEP_GFLOP = {(256, 12): 547, (256, 24): 547, (512, 12): 2553, (512, 24): 2555}  # a frame, with guidance
REFERENCE_GFLOP = {256: 176, 512: 797}
DECODE_GFLOP = {256: 622, 512: 2515}
VOICE_GFLOP = {1: 14 + 12, 10: 148 + 120, 60: 1166 + 720}  # wav2vec2, and the audio projection at 30 fps


class Work(NamedTuple):
    name: str
    gflop: float
    run: Callable[[], object]
    slow: bool = False  # takes minutes on few cores: runs once, and not before it is counted


def works(windows: list[tuple[int, int]], seconds: list[int]) -> Iterator[Work]:
    """
    windows: (pixels, frames) of the denoising steps; the portrait and the decoder have their sizes too
    seconds: lengths of the voices
    """
    sizes = sorted({size for size, _ in windows})
    yield from voices(seconds)
    yield from decoding(sizes)
    yield from portraits(sizes)
    yield from denoising(windows)


def weights(name: str) -> dict[str, Tensor]:
    return model_shapes.rule_built(name, SIZES)


def voices(lengths: list[int]) -> Iterator[Work]:
    from ..vexpress.comfyui.audio_encoder import AudioEncoder, build_wav2vec2
    from ..vexpress.comfyui.audio_projection import AudioProjection
    from ..vexpress.comfyui.encode_audio import encode_audio
    from ..vexpress.keys import load_weights

    network, state_dict = build_wav2vec2({}), weights("wav2vec2")
    del state_dict["masked_spec_embed"]  # only training masks
    load_weights(network, state_dict, "wav2vec2")
    encoder, projection = AudioEncoder(network), AudioProjection(weights("audio_projection"), "projection")
    for seconds in lengths:
        audio = {"waveform": torch.randn(1, 1, 16000 * seconds), "sample_rate": 16000}
        run = lambda audio=audio: encode_audio(encoder, projection, audio, fps=30.0)  # noqa: E731
        yield Work(audio_name(seconds), VOICE_GFLOP[seconds], run)


def decoding(sizes: list[int]) -> Iterator[Work]:
    import comfy.sd

    vae = comfy.sd.VAE(sd=weights("vae"))
    for size in sizes:
        latents = torch.randn(1, 4, size // 8, size // 8)
        yield Work(decode_name(size), DECODE_GFLOP[size], lambda x=latents: vae.decode(x))


def portraits(sizes: list[int]) -> Iterator[Work]:
    from ..vexpress.comfyui.loader import UNUSED_BY_REFERENCE_NET
    from ..vexpress.comfyui.operations import pick_operations
    from ..vexpress.comfyui.unet_keys import convert_unet
    from ..vexpress.config import UNetConfig
    from ..vexpress.keys import load_weights
    from ..vexpress.model.reference import ReferenceNet
    from ..vexpress.model.unet import unet_arguments

    device, dtype = get_torch_device(), unet_dtype()
    cast = unet_manual_cast(dtype, device)
    operations = pick_operations(dtype, cast, device)
    net = ReferenceNet(dtype=dtype, device=device, operations=operations, **unet_arguments(UNetConfig()))
    state_dict = {k: w for k, w in weights("reference_net").items() if k not in UNUSED_BY_REFERENCE_NET}
    load_weights(net, convert_unet(state_dict, UNetConfig()), "reference_net")
    del state_dict
    for size in sizes:
        latents = torch.randn(1, 4, size // 8, size // 8, device=device, dtype=cast or dtype)
        name = f"ReferenceNet, 1 portrait of {size} px"
        yield Work(name, REFERENCE_GFLOP[size], lambda x=latents: net.reference_features(x))


def denoising(windows: list[tuple[int, int]]) -> Iterator[Work]:
    from ..vexpress.comfyui.loader import denoising_model

    state_dict = weights("denoising_unet") | weights("motion_module")
    patcher = denoising_model(state_dict, weights("v_kps_guider"), "rule-built weights")
    del state_dict
    load_models_gpu([patcher])
    for size, frames in windows:
        gflop = frames * STEP_GFLOP[size, frames]
        step = denoising_step(patcher.model, size, frames)
        yield Work(step_name(size, frames), gflop, step, slow=size == 512)


def denoising_step(model, size: int, frames: int) -> Callable[[], Tensor]:
    """A guided forward of the denoising UNet for a head that stands still."""
    from ..vexpress.model.unet import AttentionWeights

    net = model.diffusion_model
    where = dict(device=get_torch_device(), dtype=model.get_dtype_inference())
    x = torch.randn(2 * frames, 4, size // 8, size // 8, **where)
    tokens = torch.randn(frames, 5, SIZES.audio_width, **where)
    kps = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=where["device"])
    timesteps = torch.full((2 * frames,), 500.0, device=where["device"])
    reference = {
        block: torch.randn(
            1, places(block, size), net.reference_attention[name].norm1_5.weight.shape[0], **where
        )
        for block, name in net.names.items()
        if name in net.reference_attention
    }
    return lambda: net(
        x,
        timesteps,
        torch.cat([torch.zeros_like(tokens), tokens]),
        transformer_options={"cond_or_uncond": [1, 0]},
        reference=[None, reference],
        kps_images=[None, kps],
        voices=[False, True],
        weights=AttentionWeights(),
    )


def places(block: tuple[str, int], size: int) -> int:
    """Positions of the latent at a transformer block."""
    side, index = block
    level = {"input": index // 3, "middle": 3, "output": (11 - index) // 3}[side]
    return (size // 8 >> level) ** 2
