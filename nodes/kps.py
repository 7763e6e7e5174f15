from comfy_api.latest import io, ui

from ..vexpress.comfyui import folders
from ..vexpress.comfyui.budget import check_pictures
from ..vexpress.comfyui.preview import kps_chart
from ..vexpress.draw import draw_over
from ..vexpress.kps_files import READERS, WRITERS, load_kps, save_kps
from .inputs import track_fps_input
from .sockets import Kps


class LoadKps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VExpressLoadKps",
            display_name="Load V-Kps",
            category="V-Express",
            description="Load a track of V-Kps (eyes and nose, frame by frame) from the input folder; the chart shows "
            "how the head moves.",
            search_aliases=["kps.pth", "keypoints file", "head movement", "driving track"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=folders.kps_files(tuple(READERS)),
                    tooltip="Put a .pth of V-Express, a .json or a .safetensors into ComfyUI's input folder "
                    "and choose it here, or one of Save V-Kps, marked [output]; press R if it is not in the list.",
                ),
                io.Int.Input(
                    "width",
                    default=512,
                    min=1,
                    max=16384,
                    advanced=True,
                    tooltip="Give the width of the video the points were found in; "
                    "used only where the file does not say (.pth never does). Raise it if the chart below says that "
                    "the face is outside the picture.",
                ),
                io.Int.Input(
                    "height",
                    default=512,
                    min=1,
                    max=16384,
                    advanced=True,
                    tooltip="Give the height of that video; used only where the file does not say.",
                ),
                track_fps_input(
                    "Give the frame rate of that video; used only where the file does not say. Raise it if "
                    "the head moves too slowly."
                ),
            ],
            outputs=[
                Kps.Output(
                    display_name="kps",
                    tooltip="The track: for driving of Retarget V-Kps, or for reference if it is the portrait's.",
                )
            ],
        )

    @classmethod
    def execute(cls, file: str, width: int, height: int, fps: float) -> io.NodeOutput:
        kps = load_kps(folders.input_path(file), width, height, fps)
        return io.NodeOutput(kps, ui=kps_chart(kps, cls))

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return folders.input_exists(file) or f"There is no V-Kps file {file!r}."

    @classmethod
    def fingerprint_inputs(cls, file: str, **_) -> str:
        return folders.input_fingerprint(file)


class SaveKps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VExpressSaveKps",
            display_name="Save V-Kps",
            category="V-Express",
            description="Save a track of V-Kps to the output folder.",
            search_aliases=["export keypoints", "kps.pth"],
            inputs=[
                Kps.Input("kps", tooltip="Connect the V-Kps to save."),
                io.String.Input(
                    "filename_prefix",
                    default=f"{folders.SAVED_KPS}/track",
                    tooltip="Name the file; a counter is added, and a slash makes a subfolder.",
                ),
                io.Combo.Input(
                    "format",
                    options=[extension[1:] for extension in WRITERS],
                    default="json",
                    tooltip="Choose json to read or edit, safetensors for long tracks; pth is what the "
                    "reference implementation reads, but it keeps neither size nor frame rate.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, kps, filename_prefix: str, format: str) -> io.NodeOutput:
        path, saved = folders.next_output(filename_prefix, f".{format}", kps.width, kps.height)
        save_kps(kps, path)
        return io.NodeOutput(ui={"kps": [saved]})


class DrawKps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VExpressDrawKps",
            display_name="Draw V-Kps",
            category="V-Express",
            description="Draw V-Kps as the model sees them, on black or over a picture, to check by eye.",
            search_aliases=["preview keypoints", "visualize kps", "show landmarks"],
            inputs=[
                Kps.Input("kps", tooltip="Connect the V-Kps to draw."),
                io.Image.Input(
                    "background",
                    optional=True,
                    tooltip="Connect the portrait or the frames of the driving video to see whether the "
                    "points lie on eyes and nose; the V-Kps are scaled to its size.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images",
                    tooltip="One picture a frame. Points beside eyes or nose: the V-Kps belong to another picture.",
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, kps, background=None) -> io.NodeOutput:
        height, width = (kps.height, kps.width) if background is None else background.shape[1:3]
        check_pictures(max(len(kps), 1 if background is None else len(background)), width, height)
        images = draw_over(kps, background)
        return io.NodeOutput(images, ui=ui.PreviewImage(images[:1], cls=cls))
