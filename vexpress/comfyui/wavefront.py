"""The wavefront as one of ComfyUI's samplers. Guidance, hooks, LoRAs and patches run on it as on any other."""

from collections.abc import Callable

import comfy.context_windows as windows
import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ..schedule import NoiseStream
from ..wavefront import Band, Denoiser, Partial, Partials, Span
from .context import VExpressWindows
from .ddim import ddim_step

CHANGED_FRAMES = (
    "Guidance that shows the model other frames than those being denoised (SAG, for one) does not work in V-Express's "
    "order of windows: remove it, or connect V-Express Sampler Select to V-Express Sampler, which then runs step by step."
)


class OneWindow(VExpressWindows):
    """Answers model calls about the frames that a window completes, by way of the whole window."""

    def __init__(self, band: Band, span: Span, frames: Tensor, partials: Partials):
        """frames: (f, 4, h, w) of the window; partials: of the windows before it"""
        super().__init__(len(frames), 0)
        self.clip = torch.empty(band.num_frames, 1, 1, 1, device="meta")  # only its length is read
        self.window = windows.IndexListContextWindow(
            [*range(span.start, span.stop)], dim=0, total_frames=band.num_frames
        )
        self.window.number = band.windows.index(span) + 1
        self.frames, self.complete = frames, frames[: span.done - span.start]
        self.before, self.partials = partials, ()

    def should_use_context(self, *args) -> bool:
        return True

    def execute(self, calc_cond_batch, model, conds, x_in, timestep, model_options) -> list[Tensor]:
        comfy.model_management.throw_exception_if_processing_interrupted()
        if x_in is not self.complete and not torch.equal(x_in, self.complete):
            raise ValueError(CHANGED_FRAMES)
        self._model = model
        model_options["transformer_options"]["context_window"] = self.window
        conds = [self.get_resized_cond(cond, self.clip, self.window) for cond in conds]
        sigmas = timestep[:1].expand(len(self.frames))
        predictions = calc_cond_batch(model, conds, self.frames, sigmas, model_options)
        call = len(self.partials)
        before = self.before[call] if self.before else Partial()
        self.partials = (*self.partials, before.plus(predictions))
        return self.partials[call].mean(len(x_in))


class Wavefront(comfy.samplers.Sampler):
    """Exact DDIM over context windows; the latents equal those of ComfyUI's windowed loop.

    Each call goes on where the band stands until `emit` frames, or the rest of the clip, are finished and not released.
    """

    def __init__(
        self,
        band: Band,
        emit: int | None = None,
        noise: NoiseStream | None = None,
        after_window: Callable[[], None] = lambda: None,
    ):
        """noise: where the clip's comes from if not from the call, which then has the shape of one window only"""
        self.band, self.noise, self.after_window = band, noise, after_window
        self.foremost = False  # whether the window in hand is the first that is not finished
        self.emit = emit or band.num_frames

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
        """noise, latent_image: (F, 4, h, w). Returns the finished frames that are not released, (f, 4, h, w)."""
        options, seed = extra_args["model_options"], extra_args["seed"]
        model_sampling = model_wrap.inner_model.model_sampling
        max_denoise = self.max_denoise(model_wrap, sigmas)
        band = self.band
        band.rows = [row.to(noise.device) for row in band.rows]  # a restored band comes from the CPU

        def source(start: int, stop: int) -> Tensor:
            drawn = noise[start:stop] if self.noise is None else self.noise.draw(stop - start).to(noise)
            latents = latent_image[start:stop] if self.noise is None else 0.0
            return model_sampling.noise_scaling(sigmas[0], drawn, latents, max_denoise)

        def evaluate(step: int, span: Span, frames: Tensor, partials: Partials) -> tuple[Tensor, Partials]:
            window = OneWindow(band, span, frames, partials)
            sigma = sigmas[step] * frames.new_ones(len(window.complete))
            through_window = {**options, "context_handler": window}
            denoised = model_wrap(window.complete, sigma, model_options=through_window, seed=seed)
            return denoised, window.partials

        def advance(step: int, frames: Tensor, denoised: Tensor) -> Tensor:
            self.foremost = band.rows[step].window == band.rows[-2].window
            if callback is not None:
                callback(band.evaluations, denoised, frames, band.evaluations_in_all)
            return ddim_step(frames, denoised, sigmas[step], sigmas[step + 1])

        self._run(Denoiser(source, evaluate, advance), disable_pbar)
        return model_sampling.inverse_noise_scaling(sigmas[-1], band.finished_frames())

    def _run(self, denoiser: Denoiser, disable_pbar: bool) -> None:
        band = self.band
        target = min(band.released + self.emit, band.num_frames)
        left = band.evaluations_in_all - band.evaluations
        with comfy.utils.model_trange(left, disable=disable_pbar) as bar:
            while band.finished < target:
                band.next_window(denoiser)
                bar.update(1)
                self.after_window()
