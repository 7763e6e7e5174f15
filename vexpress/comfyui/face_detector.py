"""Finding V-Kps with insightface, which the user installs and whose model the user fetches."""

from collections.abc import Callable
from pathlib import Path

import comfy.model_management
from comfy_api.latest import Input
from numpy import ndarray

from ..detection import Face, Followed, Picture, Selection, follow_face
from .folders import face_detector_files
from .video_frames import video_frames, with_progress

PACK_URL = "https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip"
INPUT_SIZE = (512, 512)  # what a picture is fitted into, as in the reference implementation


def detect_kps(video: Input.Video, selection: Selection, min_score: float) -> Followed:
    detector = load_detector(min_score)
    frames = video_frames(video)
    picture = Picture(frames.width, frames.height)
    return follow_face(
        map(detector, with_progress(frames, frames.count)),
        selection,
        picture,
        float(frames.fps),
        "insightface",
    )


def load_detector(min_score: float) -> Callable[[ndarray], list[Face]]:
    """Finds the faces in (H, W, 3) RGB uint8."""
    scrfd = load_insightface(face_detector_files(), "Detecting V-Kps", "face detector")
    scrfd.prepare(0, det_thresh=min_score, input_size=INPUT_SIZE)

    def detect(picture: ndarray) -> list[Face]:
        boxes, points = scrfd.detect(picture[..., ::-1])  # insightface takes BGR
        return [Face(face[:3], box[:4], face[3:]) for face, box in zip(points, boxes, strict=True)]

    return detect


def load_insightface(files: list[Path], doing: str, what: str):
    """A network of insightface's, from the first of these files that is there."""
    how = (
        f"unzip {files[0].name} of {PACK_URL} into {files[0].parent} "
        "(insightface's models are for non-commercial research only)."
    )
    try:
        import insightface
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{doing} needs the package insightface: run `pip install "insightface>=2.1"` in '
            f"ComfyUI's Python, and {how}"
        ) from error
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"There is no {what} yet: {how}")
    return insightface.model_zoo.get_model(str(file), providers=_providers())


def _providers() -> list[str]:
    """Left to itself, insightface would also take CoreML, and complain where onnxruntime has no CUDA."""
    import onnxruntime

    wanted = ["CPUExecutionProvider"]
    if comfy.model_management.get_torch_device().type == "cuda":
        wanted.insert(0, "CUDAExecutionProvider")
    return [provider for provider in wanted if provider in onnxruntime.get_available_providers()]
