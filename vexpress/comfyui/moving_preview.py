"""A preview that plays: the window being finished moves on the node, whichever sampler a V-Express MODEL is given to."""

import base64
import io
import time

import comfy.model_management
import latent_preview
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrapperExecutor, WrappersMP
from PIL import Image
from torch import Tensor

from .model import CONDITION
from .tell import Viewer, viewer

EVENT = "v-express.preview"  # web/preview.js listens
MOST_FRAMES = 32
MOST_PIXELS = 256  # a side; latents alone give an eighth of the video's
SHARE = 0.015  # of the time goes into previews, however fast the machine is
FPS = 30.0  # where the conditioning does not say


def with_moving_preview(model: ModelPatcher) -> ModelPatcher:
    """`model` itself, which from now on shows how its clip moves while it is sampled."""
    model.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, "v-express", _sample)
    return model


def _sample(executor: WrapperExecutor, guider, sigmas, extra_args, callback, *arguments) -> Tensor:
    """Around any sampler. A preview of ComfyUI's own follows, which is all that other clients know."""
    preview = MovingPreview.of(guider) if callback else None
    if preview is None:
        return executor(guider, sigmas, extra_args, callback, *arguments)

    def shown(step: int, denoised: Tensor, frames: Tensor, steps: int) -> None:
        if getattr(executor.class_obj, "foremost", True):
            preview.show(denoised)
        callback(step, denoised, frames, steps)

    return executor(guider, sigmas, extra_args, shown, *arguments)


class MovingPreview:
    """Sends the animation to whoever has queued the job, each as soon as the one before has been played."""

    def __init__(self, previewer: latent_preview.LatentPreviewer, user: Viewer, fps: float):
        self.previewer, self.user, self.fps = previewer, user, fps
        self.due = 0.0

    @classmethod
    def of(cls, guider) -> "MovingPreview | None":
        """None where nobody looks, or the user wants no previews."""
        user, model = viewer(), guider.model_patcher
        previewer = user and latent_preview.get_previewer(model.load_device, model.model.latent_format)
        return previewer and cls(previewer, user, clip_fps(guider.conds))

    def show(self, latents: Tensor) -> None:
        """latents: (F, 4, h, w), denoised as far as the model can at this step"""
        if time.monotonic() < self.due:
            return
        comfy.model_management.synchronize()  # what the model still computes is not the preview's time
        started = time.monotonic()
        frames = pictures(self.previewer, latents[:MOST_FRAMES])
        self._send(animation(frames, self.fps))
        now = time.monotonic()
        self.due = max(started + len(frames) / self.fps, now + (now - started) / SHARE)

    def _send(self, webp: bytes) -> None:
        image = base64.b64encode(webp).decode()
        message = {
            "prompt_id": self.user.job,
            "node": self.user.node,
            "display_node": self.user.shown,
            "image": image,
        }
        self.user.server.send_sync(EVENT, message, self.user.client)


def clip_fps(conds: dict[str, list[dict]]) -> float:
    conditions = (cond.get(CONDITION) for several in conds.values() for cond in several)
    return next((condition.fps for condition in conditions if condition is not None), FPS)


def pictures(previewer: latent_preview.LatentPreviewer, latents: Tensor) -> list[Image.Image]:
    """latents: (F, 4, h, w)"""
    frames = [previewer.decode_latent_to_preview(frame) for frame in latents.split(1)]
    for frame in frames:
        frame.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.BILINEAR)
    return frames


def animation(frames: list[Image.Image], fps: float) -> bytes:
    """An animated WebP that plays on and on."""
    first, *others = frames
    file = io.BytesIO()
    first.save(
        file,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=round(1000 / fps),
        loop=0,
        method=0,
        quality=75,
    )
    return file.getvalue()
