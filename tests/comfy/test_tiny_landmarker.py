"""The stand-in for the landmark model, in ComfyUI's own nodes."""

import pytest
import torch
from comfy_extras.nodes_mediapipe import LoadMediaPipeFaceLandmarker, MediaPipeFaceLandmarker
from pack.tools.make_examples import portrait_kps
from pack.tools.tiny_models import LANDMARKER, write_tiny_landmarker
from pack.vexpress.detection import face_of_landmarks


@pytest.fixture
def detector(tmp_path, monkeypatch):
    import folder_paths

    write_tiny_landmarker(tmp_path)
    path = str(tmp_path / LANDMARKER)
    monkeypatch.setattr(folder_paths, "get_full_path_or_raise", lambda folder, name: path)
    return LoadMediaPipeFaceLandmarker.execute("any").args[0]


@pytest.mark.parametrize("variant", ["short", "full", "both"])
@pytest.mark.parametrize("width, height, scale, shift", [(512, 512, 1, (0, 0)), (1024, 600, 2, (0, -212))])
def test_one_face_is_found_where_the_example_portrait_has_it(detector, variant, width, height, scale, shift):
    pictures = torch.rand(2, height, width, 3, generator=torch.Generator().manual_seed(0))
    found = MediaPipeFaceLandmarker.execute(detector, pictures, variant, 0, 0.5, "empty").args[0]
    for (face,) in found["frames"]:
        points = torch.from_numpy(face_of_landmarks(face).points)
        expected = portrait_kps().points[0] * scale + torch.tensor(shift)
        assert (points - expected).abs().max() < 0.01
