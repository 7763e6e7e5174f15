"""The wavefront as one of ComfyUI's samplers. Guidance, hooks, LoRAs and patches run on it as on any other."""

import comfy.context_windows as windows
import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ..schedule import NoiseStream
from ..wavefront import Band, Partial, Span
from .ddim import ddim_step


class WindowHandler(windows.IndexListContextHandler):
    """Answers a model call for the frames that a window completes, by way of the whole window."""

    def __init__(self, num_frames: int):
        super().__init__(
            windows.get_matching_context_schedule(windows.ContextSchedules.STATIC_STANDARD),
            windows.get_matching_fuse_method(windows.ContextFuseMethods.FLAT),
            dim=0,
            causal_window_fix=False,
        )
        self.clip = torch.empty(num_frames, 1, 1, 1, device="meta")  # only its length is read
        self.span: Span | None = None
        self.frames: Tensor | None = None
        self.partial: Partial | None = None

    def should_use_context(self, *args) -> bool:
        return True

    def execute(self, calc_cond_batch, model, conds, x_in, timestep, model_options) -> list[Tensor]:
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._model = model
        indices = list(range(self.span.start, self.span.stop))
        window = windows.IndexListContextWindow(indices, dim=0, total_frames=len(self.clip))
        model_options["transformer_options"]["context_window"] = window
        conds = [self.get_resized_cond(cond, self.clip, window) for cond in conds]
        sigmas = timestep[:1].expand(len(self.frames))
        self.partial = self.partial.plus(calc_cond_batch(model, conds, self.frames, sigmas, model_options))
        return self.partial.mean(len(x_in))


class Wavefront(comfy.samplers.Sampler):
    """Exact DDIM over context windows; the latents equal those of ComfyUI's windowed loop.

    Called again, it goes on where it stopped: each call returns at least `emit` more frames of the clip, or the rest.
    """

    def __init__(self, windows: list[Span], emit: int | None = None, noise: NoiseStream | None = None):
        """noise: where the clip's comes from if not from the call, which then has the shape of one window only"""
        self.windows, self.noise = windows, noise
        self.num_frames = windows[-1].stop
        self.emit = emit or self.num_frames
        self.band: Band | None = None

    @property
    def done(self) -> bool:
        return self.band is not None and self.band.finished == self.num_frames

    def sample(
        self,
        model_wrap,
        sigmas: Tensor,
        extra_args: dict,
        callback,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """noise, latent_image: (F, 4, h, w). Returns the frames that are finished next, (f, 4, h, w)."""
        options = extra_args["model_options"]
        handler = options["context_handler"] = WindowHandler(self.num_frames)
        model_sampling = model_wrap.inner_model.model_sampling
        max_denoise = self.max_denoise(model_wrap, sigmas)

        def source(start: int, stop: int) -> Tensor:
            drawn = noise[start:stop] if self.noise is None else self.noise.draw(stop - start).to(noise)
            latents = latent_image[start:stop] if self.noise is None else 0.0
            return model_sampling.noise_scaling(sigmas[0], drawn, latents, max_denoise)

        def evaluate(step: int, span: Span, frames: Tensor, partial: Partial) -> tuple[Tensor, Partial]:
            handler.span, handler.frames, handler.partial = span, frames, partial
            complete = frames[: span.done - span.start]
            sigma = sigmas[step] * complete.new_ones(len(complete))
            denoised = model_wrap(complete, sigma, model_options=options, seed=extra_args["seed"])
            return denoised, handler.partial

        def advance(step: int, frames: Tensor, denoised: Tensor) -> Tensor:
            if callback is not None:
                callback(self.band.evaluations, denoised, frames, len(self.windows) * self.band.steps)
            return ddim_step(frames, denoised, sigmas[step], sigmas[step + 1])

        if self.band is None:
            self.band = Band(self.windows, len(sigmas) - 1)
        self.band.source, self.band.evaluate, self.band.advance = source, evaluate, advance
        return model_sampling.inverse_noise_scaling(sigmas[-1], torch.cat(self._next(disable_pbar)))

    def _next(self, disable_pbar: bool) -> list[Tensor]:
        finished, target = [], min(self.band.finished + self.emit, self.num_frames)
        left = len(self.windows) * self.band.steps - self.band.evaluations
        with comfy.utils.model_trange(left, disable=disable_pbar) as bar:
            while self.band.finished < target:
                before = self.band.evaluations
                finished.append(self.band.next_frames())
                bar.update(self.band.evaluations - before)
        return finished
