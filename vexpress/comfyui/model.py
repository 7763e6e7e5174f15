"""V-Express as one of ComfyUI's models: how its conditions travel, and what its UNet is given."""

from dataclasses import replace
from typing import NamedTuple

import comfy.conds
import comfy.supported_models
import torch
from comfy.model_base import BaseModel, ModelType
from torch import Tensor

from ..draw import draw_kps
from ..finite import named
from ..kps import Kps
from ..model.reference import ReferenceFeatures
from ..model.silence import has_voice
from ..model.unet import AttentionWeights, VExpressUNet
from .memoryless import refuse_shared_cache

CONDITION = "vexpress"  # where a CONDITIONING keeps its Condition
CONNECT_LATENT = "connect the latent of V-Express Conditioning"


class Portrait(NamedTuple):
    """What ReferenceNet saw in the reference image; the value of a VEXPRESS_REFERENCE socket."""

    features: ReferenceFeatures
    width: int  # pixels
    height: int


class Condition(NamedTuple):
    """What a CONDITIONING carries beside the audio tokens. Unconditional frames have neither portrait nor V-Kps."""

    reference: ReferenceFeatures | None
    kps: Kps | None
    weights: AttentionWeights
    frames: int
    width: int  # pixels
    height: int
    fps: float  # of the audio tokens


class PerCond(comfy.conds.CONDRegular):
    """A value that each cond of a batch has for itself, or lacks; batched, it becomes a tuple. Never repeated per frame."""

    def process_cond(self, batch_size: int, **kwargs) -> "PerCond":
        return self

    def can_concat(self, other: "PerCond") -> bool:
        return True

    def concat(self, others: list["PerCond"]) -> tuple:
        return (self.cond, *(other.cond for other in others))

    def size(self) -> list[int]:
        return [1]


class VExpress(BaseModel):
    """The denoising UNet under ComfyUI's sampling: v-prediction with zero terminal SNR."""

    def __init__(self, model_config, model_type=ModelType.V_PREDICTION, device=None):
        super().__init__(model_config, model_type, device=device, unet_model=VExpressUNet)

    def extra_conds(self, **kwargs) -> dict:
        condition = kwargs.get(CONDITION)
        if condition is None:
            raise ValueError(
                f"The {kwargs['prompt_type']} conditioning is not V-Express's: connect V-Express Conditioning."
            )
        check_latents(kwargs["noise"], condition)
        return {
            **super().extra_conds(**kwargs),
            "reference": PerCond(self._on_device(condition.reference, kwargs["device"])),
            "kps": PerCond(condition.kps),
            "voices": PerCond(has_voice(kwargs["cross_attn"])),
            "weights": comfy.conds.CONDConstant(condition.weights),
        }

    def _on_device(self, reference: ReferenceFeatures | None, device) -> ReferenceFeatures | None:
        if reference is None:
            return None
        dtype = self.get_dtype_inference()
        return {block: features.to(device, dtype) for block, features in reference.items()}

    def resize_cond_for_context_window(
        self, cond_key, cond_value, window, x_in, device, retain_index_list=()
    ):
        if cond_key == "kps" and cond_value.cond is not None:
            track = cond_value.cond
            return PerCond(
                replace(track, points=window.get_tensor(track.points, dim=0))
            )  # of ComfyUI's anchor too
        return cond_value if isinstance(cond_value, PerCond) else None

    def _apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None,
        c_crossattn: Tensor,
        control: dict | None,
        transformer_options: dict,
        *,
        kps: tuple[Kps | None, ...],
        reference: tuple[ReferenceFeatures | None, ...],
        **kwargs,
    ) -> Tensor:
        """x: (B*F, 4, h, w); kps: per cond, the V-Kps of the window's frames; reference: per cond, of its portrait"""
        refuse_shared_cache(transformer_options)
        images = tuple(None if track is None else kps_images(track).to(x.device) for track in kps)
        # where ComfyUI shares the conds among several GPUs, this may be another than the one they were made on
        reference = tuple(self._on_device(features, x.device) for features in reference)
        inputs = (c_concat, c_crossattn, control, transformer_options)
        denoised = super()._apply_model(x, t, *inputs, kps_images=images, reference=reference, **kwargs)
        check_denoised(denoised, t, len(kps), transformer_options)
        return denoised


def kps_images(kps: Kps) -> Tensor:
    """Drawn V-Kps, (F, 3, H, W) uint8; (1, 3, H, W) when the head stands still."""
    points = kps.points[:1] if (kps.points == kps.points[0]).all() else kps.points
    return draw_kps(points, kps.width, kps.height).movedim(-1, 1)


def check_latents(noise: Tensor, condition: Condition) -> None:
    """Raise where the latents to be sampled, (F, 4, h, w), are not those the condition was made for."""
    if noise.dim() != 4:
        raise ValueError(
            f"The latent has the shape {tuple(noise.shape)}, as those of other video models: {CONNECT_LATENT}."
        )
    frames, _, height, width = noise.shape
    if (frames, width * 8, height * 8) != (condition.frames, condition.width, condition.height):
        raise ValueError(
            f"The latent has {frames} frames of {width * 8} x {height * 8} pixels, the conditioning "
            f"{condition.frames} of {condition.width} x {condition.height}: "
            f"{CONNECT_LATENT}."
        )


def check_denoised(denoised: Tensor, sigma: Tensor, conds: int, options: dict) -> None:
    """Raise where the model gave what is no number, which would spread to every later window and step.

    denoised: (B*F, 4, h, w) of one window at `sigma` (B*F,)
    """
    if denoised.isfinite().all():
        return
    window, sigmas = options.get("context_window"), options["sample_sigmas"]
    frames = (
        range(len(denoised) // conds)
        if window is None
        else range(window.index_list[0], window.index_list[-1] + 1)
    )
    number = getattr(window, "number", 1)
    step = int((sigmas.cpu() >= sigma.max().cpu()).sum())
    raise FloatingPointError(
        f"Window {number} ({named(frames)}) became NaN or infinite in step {step} of {len(sigmas) - 1}: take away "
        "LoRAs and model patches, start ComfyUI with --bf16-unet or --fp32-unet, or load the model files anew if they "
        "may be damaged."
    )


class VExpressSD15(comfy.supported_models.SD15):
    """ComfyUI's description of the model: SD 1.5's latents, previews and LoRA names, V-Express's schedule."""

    sampling_settings = {"zsnr": True}
    supported_inference_dtypes = [torch.float16, torch.bfloat16, torch.float32]

    def model_type(self, state_dict, prefix="") -> ModelType:
        return ModelType.V_PREDICTION

    def get_model(self, state_dict, prefix="", device=None) -> VExpress:
        return VExpress(self, device=device)
