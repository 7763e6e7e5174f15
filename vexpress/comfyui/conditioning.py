"""Portrait, voice and V-Kps as ComfyUI's CONDITIONING."""

import comfy.utils
import torch
from torch import Tensor

from ..audio import AudioTokens
from ..finite import require_finite
from ..kps import Kps, check_same_aspect
from ..model.unet import AttentionWeights
from ..pictures import rgb
from .loader import LoadedReferenceNet
from .model import CONDITION, Condition, Portrait
from .oom import memory_said
from .tell import warn

NOT_SEEN = "reference_net makes NaN of the portrait: start ComfyUI with --fp32-unet, or load its file anew if it may be damaged."


def encode_reference(
    reference_net: LoadedReferenceNet, vae, image: Tensor, width: int, height: int
) -> Portrait:
    """Let ReferenceNet read one portrait. image: (1, H, W, 3) in 0..1; width, height: pixels of the video"""
    if len(image) != 1:
        raise ValueError(f"image holds {len(image)} pictures: connect one portrait.")
    if width % 8 or height % 8:
        raise ValueError(f"{width} x {height} pixels: width and height must be multiples of 8.")
    with memory_said(f"while reading a portrait of {width}x{height} pixels", "make width and height smaller"):
        latents = vae.encode(fit(rgb(image, "image"), width, height))
        if tuple(latents.shape) != (1, 4, height // 8, width // 8):
            raise ValueError(
                f"vae gives latents of {tuple(latents.shape)}: connect a Stable Diffusion 1.5 VAE."
            )
        require_finite(
            latents, "vae makes NaN of the portrait: load sd-vae-ft-mse, or start ComfyUI with --fp32-vae."
        )
        features = reference_net.reference_features(latents)
    for seen in features.values():
        require_finite(seen, NOT_SEEN)
    return Portrait(features, width, height)


def fit(image: Tensor, width: int, height: int) -> Tensor:
    """Resize, never crop or distort: (B, H, W, C) -> (B, height, width, C)"""
    _, source_height, source_width, _ = image.shape
    check_same_aspect("An image", (source_width, source_height), (width, height))
    if (source_width, source_height) == (width, height):
        return image
    return comfy.utils.common_upscale(
        image.float().movedim(-1, 1), width, height, "lanczos", "disabled"
    ).movedim(1, -1)


def condition(
    portrait: Portrait, audio: AudioTokens, kps: Kps, weights: AttentionWeights
) -> tuple[list, list, dict]:
    """Positive and negative CONDITIONING, and the empty LATENT of the clip."""
    frames = len(audio.tokens)
    kps = kps.scaled(portrait.width, portrait.height)
    if (kps.points != kps.points[0]).any() and abs(kps.fps / audio.fps - 1) > 0.01:
        warn(
            f"kps runs at {kps.fps:g} frames per second, audio_tokens at {audio.fps:g}: the head moves at another "
            "speed. Set fps of Retarget V-Kps to the fps that V-Express Encode Audio returns."
        )
    kps = kps.expanded(frames)
    clip = (frames, portrait.width, portrait.height, audio.fps)
    positive = Condition(portrait.features, kps, weights, *clip)
    negative = Condition(None, None, weights, *clip)
    silence = torch.zeros(1).expand_as(audio.tokens)  # no voice at all, which is not a silent voice
    latent = torch.zeros(1).expand(frames, 4, portrait.height // 8, portrait.width // 8)
    return (
        [[audio.tokens, {CONDITION: positive}]],
        [[silence, {CONDITION: negative}]],
        {"samples": latent},
    )
