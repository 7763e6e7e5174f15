"""Finding V-Kps: insightface's and ComfyUI's real code, with detectors that know toy faces."""

import logging
import sys
from fractions import Fraction
from pathlib import Path

import av
import folder_paths
import numpy as np
import pytest
import torch
from comfy_api.internal import make_locked_method_func
from comfy_api.latest import InputImpl, Types
from comfy_extras.nodes_mediapipe import MediaPipeFaceLandmarker
from pack.nodes.detect import DetectKps, KpsFromLandmarks
from pack.vexpress.comfyui.folders import face_detector_files
from toy_landmarker import draw_squares, kps_in, toy_landmarker
from toy_scrfd import draw_faces, face_points, write_detector

SIZE = 512
# Two frames with a face left and right, so far apart that no window of the detector sees parts of both: the right
# one is larger first and smaller then, the left one nearer to the middle first.
LEFT = [face_points(140, 250), face_points(110, 250, scale=1.2)]
RIGHT = [face_points(390, 250, scale=1.2), face_points(380, 250)]
FACE = RIGHT[0]


@pytest.fixture(scope="module", autouse=True)
def detector():
    (path,) = face_detector_files()
    write_detector(path)
    yield path
    path.unlink()


@pytest.fixture
def no_detector(detector):
    detector.rename(detector.with_suffix(".hidden"))
    yield detector
    detector.with_suffix(".hidden").rename(detector)


def images(*frames, width: int = SIZE, height: int = SIZE) -> torch.Tensor:
    """(F, H, W, 3) 0..1; a frame is a list of faces."""
    drawn = [torch.from_numpy(draw_faces(width, height, *faces)) for faces in frames]
    return torch.stack(drawn) / 255


def execute(node, **inputs):
    """As ComfyUI's executor does, on a class that cannot be changed."""
    return make_locked_method_func(node, "execute", node.PREPARE_CLASS_CLONE(None))(**inputs)


def detect(fps=30.0, face="largest", min_score=0.5, max_gap=0, **inputs):
    return execute(DetectKps, fps=fps, face=face, min_score=min_score, max_gap=max_gap, **inputs)


def kps_of(output) -> np.ndarray:
    return output.args[0].points.numpy()


def pixels_off(output, *faces) -> float:
    """The largest distance from where the eyes and noses were drawn."""
    return np.abs(kps_of(output) - np.stack(faces)[:, :3]).max()


def test_eyes_and_nose_are_where_they_were_drawn():
    output = detect(images=images([FACE]), fps=29.97)
    kps = output.args[0]
    assert pixels_off(output, FACE) < 0.1
    assert (kps.width, kps.height, kps.fps, kps.detector) == (SIZE, SIZE, 29.97, "insightface")


@pytest.mark.parametrize("width, height", [(480, 640), (640, 360), (1080, 1080), (256, 256)])
def test_pictures_of_any_shape_keep_their_geometry(width, height):
    face = face_points(width * 0.6, height * 0.4, scale=min(width, height) / SIZE)
    assert pixels_off(detect(images=images([face], width=width, height=height)), face) < 1


def test_red_taken_for_blue_there_is_no_face():
    with pytest.raises(ValueError, match="No face was found in the picture: "):
        detect(images=images([FACE]).flip(-1))


def test_a_picture_without_a_face_is_refused():
    with pytest.raises(ValueError, match="No face was found in the picture: "):
        detect(images=images([]))


def test_min_score_decides_what_is_a_face():
    with pytest.raises(ValueError, match="No face was found in the picture: "):
        detect(images=images([FACE]), min_score=0.95)


@pytest.mark.parametrize(
    "face, index, expected",
    [
        ("largest", 0, [RIGHT[0], LEFT[1]]),
        ("central", 0, [LEFT[0], RIGHT[1]]),
        ("leftmost", 0, LEFT),
        ("leftmost", 1, RIGHT),
        ("nearest", 0, RIGHT),
    ],
)
def test_one_of_two_faces_is_chosen(face, index, expected):
    output = detect(images=images(*zip(LEFT, RIGHT, strict=True)), face=face, index=index)
    assert pixels_off(output, *expected) < 0.1


def test_a_gap_is_filled_and_reported(caplog):
    with caplog.at_level(logging.WARNING):
        output = detect(images=images([FACE], [], [], [FACE + 30]), max_gap=2)
    assert pixels_off(output, FACE, FACE + 10, FACE + 20, FACE + 30) < 0.1
    assert "2 of 4 frames do not show the face, the first is frame 1" in output.ui["text"][0]
    assert "2 of 4 frames do not show the face, the first is frame 1" in caplog.text


def test_a_longer_gap_names_its_frames():
    with pytest.raises(ValueError, match="missing from frame 1 to frame 2: 2 in a row, while max_gap lets 1"):
        detect(images=images([FACE], [], [], [FACE]), max_gap=1)


def drawn_motion() -> list[np.ndarray]:
    """Two seconds at 25 fps of a face that wanders, turns and comes closer."""
    return [
        face_points(250 + 40 * np.sin(t), 220 + 25 * np.sin(2 * t), 1 + 0.2 * np.sin(t / 2), 15 * np.sin(t))
        for t in np.linspace(0, 6, 50)
    ]


def write_video(path: Path, frames: list[np.ndarray], rotation: int = 0) -> InputImpl.VideoFromFile:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "8"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        stream.set_display_rotation(rotation)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return InputImpl.VideoFromFile(str(path))


def test_the_motion_of_a_driving_video_is_recovered(tmp_path):
    motion = drawn_motion()
    video = write_video(tmp_path / "driving.mp4", [draw_faces(SIZE, 400, face) for face in motion])
    output = detect(video=video, fps=12.0)  # a video knows its own
    assert pixels_off(output, *motion) < 1
    assert output.args[0].fps == 25


def test_a_video_of_images_is_the_same_as_images():
    pictures = images([FACE], [FACE + 9])
    components = Types.VideoComponents(images=pictures, frame_rate=Fraction(30))
    video = detect(video=InputImpl.VideoFromComponents(components))
    assert np.array_equal(kps_of(video), kps_of(detect(images=pictures)))


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turned_video_gives_upright_points(tmp_path, rotation):
    face = face_points(200, 150)
    stored = np.rot90(draw_faces(320, 400, face), -rotation // 90)
    video = write_video(tmp_path / "phone.mp4", [np.ascontiguousarray(stored)] * 2, rotation)
    output = detect(video=video)
    assert pixels_off(output, face, face) < 1
    assert (output.args[0].width, output.args[0].height) == (320, 400)


def test_a_trimmed_video_is_detected_within_its_trim(tmp_path):
    video = write_video(tmp_path / "long.mp4", [draw_faces(SIZE, SIZE, FACE - 2 * i) for i in range(20)])
    output = detect(video=video.as_trimmed(0.4, 0.2))
    assert pixels_off(output, *(FACE - 2 * i for i in range(10, 15))) < 1


def test_cancelling_stops_between_frames(monkeypatch):
    import comfy.model_management as management

    monkeypatch.setattr(management, "interrupt_processing", True)
    with pytest.raises(management.InterruptProcessingException):
        detect(images=images([FACE], [FACE]))


@pytest.mark.parametrize("both, message", [(False, "neither is"), (True, "both are")])
def test_images_or_a_video_must_be_connected(both, message):
    inputs = {"images": images([FACE]), "video": object()} if both else {}
    with pytest.raises(ValueError, match=f"must be connected, and {message}"):
        detect(**inputs)


def test_a_missing_model_says_where_it_goes_and_on_what_terms(no_detector):
    with pytest.raises(FileNotFoundError) as error:
        detect(images=images([FACE]))
    for said in (str(no_detector.parent), "releases/download/v0.7/buffalo_l.zip", "non-commercial research"):
        assert said in str(error.value)


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "insightface", None)
    with pytest.raises(
        ModuleNotFoundError, match=r'pip install "insightface>=2.1".*buffalo_l.*non-commercial'
    ):
        detect(images=images([FACE]))


def test_the_model_is_found_where_extra_model_paths_says(no_detector, tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(tmp_path)], set()))
    write_detector(tmp_path / "models" / "buffalo_l" / "det_10g.onnx")
    assert pixels_off(detect(images=images([FACE])), FACE) < 0.1


def landmarks_of(*frames: list[tuple[int, int]], num_faces: int = 0) -> dict:
    """What core's node makes of pictures with white squares in these cells."""
    pictures = torch.cat([draw_squares(*cells) for cells in frames])
    output = MediaPipeFaceLandmarker.execute(toy_landmarker(), pictures, "short", num_faces, 0.5, "empty")
    return output.args[0]


def from_landmarks(landmarks: dict, face="largest", max_gap=0, index=0):
    return execute(KpsFromLandmarks, landmarks=landmarks, fps=25.0, face=face, max_gap=max_gap, index=index)


def test_cores_landmarks_become_kps():
    output = from_landmarks(landmarks_of([(2, 3)], [(5, 4)]))
    kps = output.args[0]
    assert np.abs(kps_of(output) - [kps_in(2, 3), kps_in(5, 4)]).max() < 0.01
    assert (kps.width, kps.height, kps.fps, kps.detector) == (256, 192, 25.0, "mediapipe")


@pytest.mark.parametrize(
    "face, index, expected", [("central", 0, (4, 3)), ("leftmost", 0, (1, 3)), ("leftmost", 1, (4, 3))]
)
def test_one_of_two_faces_is_chosen_from_cores_landmarks(face, index, expected):
    output = from_landmarks(landmarks_of([(4, 3), (1, 3)]), face, index=index)
    assert np.abs(kps_of(output) - kps_in(*expected)).max() < 0.01


def test_gaps_in_cores_landmarks_are_filled_and_reported():
    output = from_landmarks(landmarks_of([(2, 3)], [], [(4, 3)]), max_gap=1)
    assert np.abs(kps_of(output) - [kps_in(2, 3), kps_in(3, 3), kps_in(4, 3)]).max() < 0.01
    assert "1 of 3 frames do not show the face, the first is frame 1" in output.ui["text"][0]
