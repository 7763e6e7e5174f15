"""A face cut out of any picture, and the talking one put back."""

from comfy_api.latest import InputImpl, io
from comfy_execution.graph_utils import ExecutionBlocker

from ..vexpress.comfyui.crop import crop_face, paste_images, paste_video
from ..vexpress.comfyui.preview import square_preview
from ..vexpress.comfyui.video_writer import CRF
from .inputs import check_one_of, crf_input
from .sockets import Kps, Placement


class CropFace(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressCropFace",
            display_name="V-Express Crop Face",
            category="V-Express",
            description="Cut out the square around a face as V-Express saw faces in training. Where the square "
            "leaves the picture, the picture is mirrored.",
            search_aliases=["crop portrait", "face crop", "square portrait", "align face"],
            inputs=[
                io.Image.Input("image", tooltip="Connect one picture of any size and shape."),
                Kps.Input(
                    "kps",
                    tooltip="Connect the V-Kps of the face in that picture. A track is cut out with the square "
                    "of its first frame.",
                ),
                io.Float.Input(
                    "margin",
                    default=1.0,
                    min=0.5,
                    max=3.0,
                    step=0.05,
                    tooltip="Raise for a wider square around the face, lower for a tighter one; the model was "
                    "trained on 1.",
                ),
                io.Int.Input(
                    "size",
                    default=512,
                    min=64,
                    max=2048,
                    step=8,
                    tooltip="Set the side of the result in pixels. The model was trained at 512. A face that is smaller than that "
                    "in the picture stays soft.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The square: for V-Express Encode Reference. Chin or hair cut off: raise margin.",
                ),
                Kps.Output(
                    display_name="kps",
                    tooltip="The V-Kps in that square: for reference of Retarget V-Kps or Idle Motion.",
                ),
                Placement.Output(
                    display_name="placement", tooltip="Where the square was: for V-Express Paste Face."
                ),
            ],
        )

    @classmethod
    def execute(cls, image, kps, margin: float, size: int) -> io.NodeOutput:
        image, kps, placement = crop_face(image, kps, margin, size)
        return io.NodeOutput(image, kps, placement, ui=square_preview(kps, image, cls))


class PasteFace(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressPasteFace",
            display_name="V-Express Paste Face",
            category="V-Express",
            description="Put the talking face back into the picture it was cut from. Images become images; a "
            "video becomes a video with the same voice, at any length in little memory.",
            search_aliases=["paste back", "uncrop", "stitch face", "composite face"],
            inputs=[
                io.Image.Input(
                    "original",
                    tooltip="Connect the picture that went into V-Express Crop Face, or one of its size for "
                    "each frame.",
                ),
                Placement.Input("placement", tooltip="Connect placement of V-Express Crop Face."),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="Connect the talking frames, or a video below; enlarged ones are fine.",
                ),
                io.Video.Input("video", optional=True, tooltip="Connect the talking video, or images above."),
                io.Float.Input(
                    "feather",
                    default=0.1,
                    min=0.0,
                    max=0.5,
                    step=0.01,
                    tooltip="Raise to blend more softly, as a part of the square's side; 0 cuts hard. The "
                    "picture's own borders are not blended.",
                ),
                io.Boolean.Input(
                    "match_colour",
                    default=True,
                    tooltip="Leave on to give the frames the brightness, tint and contrast that the picture has "
                    "around the square's edge. It is measured on the first frame only, so nothing flickers.",
                ),
                crf_input(),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images",
                    tooltip="The whole picture, talking, if images are connected. A seam shows: raise feather.",
                ),
                io.Video.Output(
                    display_name="video",
                    tooltip="The whole picture, talking, if a video is connected: for Save Video.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, original, placement, feather: float, match_colour: bool, images=None, video=None, crf: int = CRF
    ) -> io.NodeOutput:
        check_one_of(images, video)
        if video is None:
            pasted = paste_images(original, placement, images, feather, match_colour)
            return io.NodeOutput(pasted, _nothing("images", "video"))
        path = paste_video(original, placement, video, feather, match_colour, crf)
        return io.NodeOutput(_nothing("video", "images"), InputImpl.VideoFromFile(str(path)))


def _nothing(given: str, missing: str) -> ExecutionBlocker:
    """Stops only what is connected to that output, with this sentence."""
    return ExecutionBlocker(
        f"V-Express Paste Face was given {given}, so its output {missing} is empty: use its output {given}."
    )
