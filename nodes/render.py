"""From noise to a finished video, in one node and in constant memory."""

from comfy_api.latest import InputImpl, io

from ..vexpress.comfyui.render import render
from ..vexpress.comfyui.video_writer import CRF
from .inputs import (
    TALKING_HEAD,
    cfg_input,
    clip_inputs,
    crf_input,
    deflicker_input,
    seed_input,
    sound_fps_input,
    steps_input,
)


class Render(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressRender",
            display_name="V-Express Render",
            category="V-Express",
            description="Sample, decode and encode a clip piece by piece: minutes or hours of video in the memory of "
            "some seconds. Cancelled or crashed? Queue the same job again, and it goes on. Takes the place of "
            "V-Express Sampler, VAE Decode and V-Express Assemble Video.",
            search_aliases=[*TALKING_HEAD, "long video", "low memory video", "out of memory", "resume"],
            inputs=[
                *clip_inputs(),
                io.Vae.Input("vae", tooltip="Connect the VAE that encoded the portrait."),
                io.Audio.Input(
                    "audio", optional=True, tooltip="Connect the voice; without it the video is silent."
                ),
                sound_fps_input(),
                seed_input(),
                steps_input(),
                cfg_input(),
                deflicker_input(),
                crf_input(),
            ],
            outputs=[
                io.Video.Output(
                    display_name="video",
                    tooltip="The finished video: for Save Video, which copies it without loss, or V-Express Paste Face.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        positive,
        negative,
        latent,
        vae,
        fps: float,
        seed: int,
        steps: int,
        cfg: float,
        deflicker: bool,
        audio=None,
        crf: int = CRF,
    ) -> io.NodeOutput:
        path = render(model, positive, negative, latent, vae, audio, fps, seed, steps, cfg, deflicker, crf)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)))
