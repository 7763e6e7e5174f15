"""From pictures to a video."""

from comfy_api.latest import InputImpl, Types, io

from ..vexpress.comfyui.assemble import assemble
from .inputs import deflicker_input, sound_fps_input


class AssembleVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressAssembleVideo",
            display_name="V-Express Assemble Video",
            category="V-Express",
            description="Put the decoded pictures and the voice together. Pictures with an odd width or "
            "height get their last column or row twice, because videos need even sizes.",
            search_aliases=["images to video", "combine video", "mux audio", "deflicker"],
            inputs=[
                io.Image.Input(
                    "images", tooltip="Connect the frames, from VAE Decode or a node that improves them."
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="Connect the voice. Longer than the pictures, it is cut to their length; "
                    "shorter, the video goes on without sound.",
                ),
                sound_fps_input(),
                deflicker_input(),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="Pictures and voice: for Save Video.")],
        )

    @classmethod
    def execute(cls, images, fps: float, deflicker: bool, audio=None) -> io.NodeOutput:
        images, audio, rate = assemble(images, audio, fps, deflicker)
        components = Types.VideoComponents(images=images, audio=audio, frame_rate=rate)
        return io.NodeOutput(InputImpl.VideoFromComponents(components))
