from comfy_api.latest import io, ui

from ..vexpress.comfyui import folders
from ..vexpress.comfyui.preview import kps_chart
from ..vexpress.draw import draw_over
from ..vexpress.kps_files import READERS, WRITERS, load_kps, save_kps
from ..vexpress.retarget import RetargetStrategy, Timing, retarget
from .sockets import Kps


class LoadKps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VExpressLoadKps",
            display_name="Load V-Kps",
            category="V-Express",
            description="Load a track of V-Kps (eyes and nose, frame by frame) from the input folder.",
            search_aliases=["kps.pth", "keypoints file", "head movement", "driving track"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=folders.input_files(tuple(READERS)),
                    tooltip="Put a .pth of V-Express, a .json or a .safetensors into ComfyUI's input folder "
                    "and choose it here.",
                ),
                io.Int.Input(
                    "width",
                    default=512,
                    min=1,
                    max=16384,
                    tooltip="Give the width of the video the points were found in; "
                    "used only where the file does not say (.pth never does).",
                ),
                io.Int.Input(
                    "height",
                    default=512,
                    min=1,
                    max=16384,
                    tooltip="Give the height of that video; used only where the file does not say.",
                ),
                io.Float.Input(
                    "fps",
                    default=30.0,
                    min=1.0,
                    max=240.0,
                    step=0.01,
                    tooltip="Give the frame rate of that video; used only where the file does not say.",
                ),
            ],
            outputs=[Kps.Output(display_name="kps")],
        )

    @classmethod
    def execute(cls, file: str, width: int, height: int, fps: float) -> io.NodeOutput:
        kps = load_kps(folders.input_path(file), width, height, fps)
        return io.NodeOutput(kps, ui=kps_chart(kps, cls))

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return folders.input_exists(file) or f"The input folder has no V-Kps file {file!r}."

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
                    default="v-kps/track",
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


class RetargetKps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VExpressRetargetKps",
            display_name="Retarget V-Kps",
            category="V-Express",
            description="Move the head of the portrait the way the driving face moves, or keep it still.",
            search_aliases=["head movement", "motion transfer", "retargeting", "fix face", "driving video"],
            inputs=[
                Kps.Input(
                    "reference",
                    tooltip="Connect the V-Kps of the portrait; of a track its first frame is taken.",
                ),
                Kps.Input(
                    "driving",
                    optional=True,
                    tooltip="Connect the V-Kps of the driving video; only fix_face works without.",
                ),
                io.Combo.Input(
                    "strategy",
                    options=RetargetStrategy,
                    default=RetargetStrategy.FIX_FACE,
                    tooltip="Choose fix_face to hold the head still; no_retarget to take the driving points "
                    "as they are (same face, same place); offset_retarget to shift the portrait's pose as the "
                    "driver's nose moves; naive_retarget to turn the head as well.",
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=1_000_000,
                    tooltip="Connect the frames of the encoded audio. "
                    "0 takes the whole driving track, or one frame without a driver.",
                ),
                io.Float.Input(
                    "fps",
                    default=30.0,
                    min=1.0,
                    max=240.0,
                    step=0.01,
                    tooltip="Connect the frame rate of the encoded audio.",
                ),
                io.Combo.Input(
                    "timing",
                    options=Timing,
                    default=Timing.CLOCK,
                    tooltip="Choose clock to keep the driver's speed (a longer track is cut, a shorter one "
                    "holds its last frame), stretch to slow a shorter track down until it fills the clip.",
                ),
                io.Boolean.Input(
                    "upstream_exact",
                    default=False,
                    advanced=True,
                    tooltip="Switch on to get the numbers of the reference implementation, mistakes and all: "
                    "it stretches, often compares the wrong pose, and offsets the opposite way by half.",
                ),
            ],
            outputs=[Kps.Output(display_name="kps")],
        )

    @classmethod
    def execute(
        cls,
        reference,
        strategy: str,
        frames: int,
        fps: float,
        timing: str,
        upstream_exact: bool,
        driving=None,
    ) -> io.NodeOutput:
        strategy, timing = RetargetStrategy(strategy), Timing(timing)
        kps = retarget(reference, driving, strategy, frames, fps, timing, upstream_exact)
        return io.NodeOutput(kps, ui=kps_chart(kps, cls))


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
            outputs=[io.Image.Output(display_name="images")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, kps, background=None) -> io.NodeOutput:
        images = draw_over(kps, background)
        return io.NodeOutput(images, ui=ui.PreviewImage(images[:1], cls=cls))
