"""`python dev.py demo`, apart from what the workflow tests cover."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pack.tools import demo


def test_released_files_are_found_in_any_of_the_model_folders(tmp_path):
    assert demo.find_released([tmp_path]) is None
    files = [
        pattern.replace("*", "") + ending
        for widgets in demo.LOADERS.values()
        for pattern, ending in zip(
            widgets.values(), [".bin", ".pth", ".safetensors", ".pt", ".bin"], strict=False
        )
    ]
    for i, file in enumerate(files):
        path = tmp_path / f"models_{i % 2}" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = demo.find_released([tmp_path / "models_0", tmp_path / "models_1"])
    assert found["VExpressLoader"]["motion_module"] == "motion_module.pth"


def test_the_landmark_model_is_not_among_what_the_released_weights_need(tmp_path):
    assert "LoadMediaPipeFaceLandmarker" not in demo.LOADERS
    assert demo.find_landmarker([tmp_path]) is None
    (tmp_path / "detection").mkdir()
    (tmp_path / demo.LANDMARKER).touch()
    assert demo.find_landmarker([tmp_path / "elsewhere", tmp_path]) == tmp_path / demo.LANDMARKER


def test_kps_from_a_file_take_the_place_of_the_detected_ones():
    prompt = {
        "1": {"class_type": "MediaPipeFaceLandmarker", "inputs": {}},
        "2": {"class_type": "VExpressKpsFromLandmarks", "inputs": {"landmarks": ["1", 0], "fps": 30.0}},
    }
    demo._load_kps(prompt, demo._options(["--kps", "there/track.pth"]), (640, 480))
    assert prompt["2"] == {
        "class_type": "VExpressLoadKps",
        "inputs": {"file": "v-express_kps.pth", "width": 640, "height": 480, "fps": 30},
    }


@pytest.mark.slow
def test_the_demo_ends_with_the_path_of_a_video(tmp_path):
    tools = Path(demo.__file__).parent
    command = [sys.executable, tools, "demo", "--seconds", "0.5", "--output", tmp_path]
    cache = {"V_EXPRESS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, env=os.environ | cache, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).stat().st_size > 1000
