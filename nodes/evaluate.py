"""How well a video shows what it was asked to show."""

from comfy_api.latest import io

from ..vexpress.comfyui import folders
from ..vexpress.comfyui.evaluate import Against, evaluate
from ..vexpress.comfyui.preview import chart_image, shown
from ..vexpress.detection import FaceChoice, Selection
from .detect import face_input, index_input, min_score_input
from .sockets import Kps


class Evaluate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressEvaluate",
            display_name="V-Express Evaluate",
            category="V-Express",
            description="Compare the talking-head video of any method with the V-Kps it should follow, and with a real "
            "clip and the portrait if there are any, and its lips with its voice. Works on videos of any length, frame by frame.",
            search_aliases=["metrics", "lip sync", "SyncNet", "LSE", "KpsDis", "SSIM", "PSNR", "FaceSim", "flicker", "compare videos"],
            is_output_node=True,
            inputs=[
                io.Video.Input("video", tooltip="Connect the video to be judged; any method may have made it."),
                Kps.Input(
                    "kps",
                    tooltip="Connect the V-Kps that the video should follow: those that went into V-Express "
                    "Conditioning. One frame stands for a head that stays still.",
                ),
                face_input(),
                min_score_input(),
                Kps.Input(
                    "found_kps",
                    optional=True,
                    tooltip="Connect V-Kps that any node found in this video, one for each frame, if insightface is "
                    "not installed. Missed faces are then unknown.",
                ),
                io.Video.Input(
                    "real",
                    optional=True,
                    tooltip="Connect the real clip that the video imitates, from the same moment on, for SSIM, PSNR "
                    "and ΔFaceSim.",
                ),
                io.Image.Input(
                    "portrait",
                    optional=True,
                    tooltip="Connect the portrait for FaceSim, which needs insightface and its model w600k_r50.onnx.",
                ),
                index_input(),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="One number a line, then what to know of them."),
                io.Image.Output(display_name="chart", tooltip="The numbers over time: for Preview Image or Save Image."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        """Measured anew when a file that was missing is there."""
        files = [*folders.face_detector_files(), *folders.face_recognizer_files(), *folders.syncnet_files()]
        return folders.weights_fingerprint(*map(str, files))

    @classmethod
    def execute(
        cls, video, kps, face: str, min_score: float, found_kps=None, real=None, portrait=None, index: int = 0
    ) -> io.NodeOutput:
        against = Against(kps, found_kps, real, portrait)
        evaluation = evaluate(video, against, Selection(FaceChoice(face), index), min_score)
        chart = chart_image(evaluation.chart)
        return io.NodeOutput(evaluation.report, chart, ui=shown(chart, cls, evaluation.report))
