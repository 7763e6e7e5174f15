from comfy_api.latest import InputImpl, Types, io

from ..vexpress.comfyui.face_detector import detect_kps
from ..vexpress.comfyui.preview import kps_chart
from ..vexpress.detection import FaceChoice, Followed, Picture, Selection, face_of_landmarks, follow_face
from ..vexpress.video import frame_rate
from .inputs import check_one_of, track_fps_input
from .sockets import FaceLandmarks, Kps


def face_input() -> io.Input:
    return io.Combo.Input(
        "face",
        options=FaceChoice,
        default=FaceChoice.LARGEST,
        tooltip="Choose whose V-Kps to take: the largest face in each frame, the one nearest to the middle, "
        "one counted from the left (see index), or nearest: the largest face of the first frame, followed "
        "from frame to frame, which is best where several people are seen.",
    )


def min_score_input() -> io.Input:
    return io.Float.Input(
        "min_score",
        default=0.5,
        min=0.05,
        max=1.0,
        step=0.05,
        tooltip="Lower it if a face is missed, raise it if something else is taken for a face.",
    )


def max_gap_input() -> io.Input:
    return io.Int.Input(
        "max_gap",
        default=10,
        min=0,
        max=10_000,
        advanced=True,
        tooltip="Choose over how many frames in a row the face may be missing; they are filled in from their "
        "neighbours. More is an error.",
    )


def index_input() -> io.Input:
    return io.Int.Input(
        "index",
        default=0,
        min=0,
        max=100,
        optional=True,
        tooltip="Count from the left for leftmost: 0 is the face farthest left, 1 the next.",
    )


def found_kps() -> io.Output:
    return Kps.Output(
        display_name="kps",
        tooltip="Eyes and nose in every frame: for V-Express Crop Face or Retarget V-Kps. Somebody else's: choose "
        "another face.",
    )


class DetectKps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VExpressDetectKps",
            display_name="Detect V-Kps",
            category="V-Express",
            description="Find eyes and nose in a portrait, in pictures or in a driving video of any length. "
            "Needs the Python package insightface and its model det_10g.onnx.",
            search_aliases=["face detection", "insightface", "keypoints", "landmarks", "driving video"],
            inputs=[
                io.Image.Input(
                    "images", optional=True, tooltip="Connect the portrait or the frames, or else a video."
                ),
                io.Video.Input(
                    "video",
                    optional=True,
                    tooltip="Connect the driving video; it is read frame by frame, so it may be long.",
                ),
                track_fps_input("Give the frame rate of images; a video knows its own."),
                face_input(),
                min_score_input(),
                max_gap_input(),
                index_input(),
            ],
            outputs=[found_kps()],
        )

    @classmethod
    def execute(
        cls,
        fps: float,
        face: str,
        min_score: float,
        max_gap: int,
        index: int = 0,
        images=None,
        video=None,
    ) -> io.NodeOutput:
        check_one_of(images, video)
        if video is None:
            components = Types.VideoComponents(images=images, frame_rate=frame_rate(fps))
            video = InputImpl.VideoFromComponents(components)
        return _output(cls, detect_kps(video, Selection(FaceChoice(face), index, max_gap), min_score))


class KpsFromLandmarks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VExpressKpsFromLandmarks",
            display_name="V-Kps from Face Landmarks",
            category="V-Express",
            description="Take eyes and nose from ComfyUI's own face landmarks (MediaPipe), which may be used "
            "commercially. They lie about 3 % of the eye distance beside insightface's, so use one of "
            "both for the portrait and the driving video alike.",
            search_aliases=["mediapipe", "face landmarks", "face mesh", "keypoints"],
            inputs=[
                FaceLandmarks.Input("landmarks", tooltip="Connect Detect Face Landmarks (MediaPipe)."),
                track_fps_input("Give the frame rate of the pictures the landmarks were found in."),
                face_input(),
                max_gap_input(),
                index_input(),
            ],
            outputs=[found_kps()],
        )

    @classmethod
    def execute(cls, landmarks: dict, fps: float, face: str, max_gap: int, index: int = 0) -> io.NodeOutput:
        height, width = landmarks["image_size"]
        faces = ([face_of_landmarks(face) for face in frame] for frame in landmarks["frames"])
        selection = Selection(FaceChoice(face), index, max_gap)
        return _output(cls, follow_face(faces, selection, Picture(width, height), fps, "mediapipe"))


def _output(cls, followed: Followed) -> io.NodeOutput:
    ui = kps_chart(followed.kps, cls, *followed.notes, filled=followed.filled)
    return io.NodeOutput(followed.kps, ui=ui)
