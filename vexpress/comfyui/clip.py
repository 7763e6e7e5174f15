"""A clip on its way from noise to latents, some windows at a time, in memory that does not grow with its length."""

import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..checkpoint import clip_state, restore_clip
from ..schedule import NoiseStream
from ..wavefront import Band, spans
from .context import context_of, require_vexpress
from .fingerprint import model_identity
from .memoryless import refuse_memory
from .model import CONDITION, check_latents
from .sampling import trailing_sigmas
from .wavefront import Wavefront

SEGMENT = 10  # windows whose frames are finished before the VAE takes the UNet's place in memory


class Clip:
    """Refuses at once what cannot be sampled; then gives finished latents in order, until it is done."""

    def __init__(
        self,
        model: ModelPatcher,
        positive: list,
        negative: list,
        empty: Tensor,
        seed: int,
        steps: int,
        cfg: float,
    ):
        """empty: (F, 4, h, w) for its shape"""
        require_vexpress(model)
        refuse_memory(model, positive, negative)
        length, overlap = context_of(model)
        self.model, self.seed, self.sigmas = model, seed, trailing_sigmas(model, steps)
        self.band = Band(spans(len(empty), length, overlap), steps)
        self.noise = NoiseStream(seed, len(empty), tuple(empty.shape[1:]))
        self.sampler = Wavefront(self.band, SEGMENT * (length - overlap), self.noise)
        window = min(length, len(empty))
        self.window = torch.zeros(window, *empty.shape[1:])  # all that ComfyUI needs room for
        conds = [for_windows(conditioning, empty, window) for conditioning in (positive, negative)]
        self.guider = comfy.samplers.CFGGuider(model)
        self.guider.set_conds(*conds)
        self.guider.set_cfg(cfg)
        self.callback = latent_preview.prepare_callback(model, self.band.evaluations_in_all)
        settings = tuple(empty.shape), length, overlap, seed, self.sigmas, cfg
        self.identity = model_identity(model), conds, settings  # for fingerprint()

    @property
    def done(self) -> bool:
        return self.band.released == self.band.num_frames

    def next_latents(self) -> Tensor:
        """Those that follow the released ones: (f, 4, h, w)"""
        return self.guider.sample(
            self.window,
            self.window,
            self.sampler,
            self.sigmas,
            callback=self.callback,
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=self.seed,
        )

    def release(self) -> None:
        """The latents given last are safe elsewhere."""
        self.band.release()

    def state(self) -> dict[str, Tensor]:
        return clip_state(self.band, self.noise)

    def restore(self, state: dict[str, Tensor]) -> None:
        restore_clip(self.band, self.noise, state)


def for_windows(conditioning: list, empty: Tensor, frames: int) -> list:
    """The same CONDITIONING, made for latents of one window's `frames`, once it is known to fit the clip's."""
    fitted = []
    for tokens, extras in conditioning:
        if CONDITION in extras:
            check_latents(empty, extras[CONDITION])
            extras = {**extras, CONDITION: extras[CONDITION]._replace(frames=frames)}
        fitted.append([tokens, extras])
    return fitted
