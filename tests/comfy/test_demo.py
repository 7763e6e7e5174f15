"""`python dev.py demo`, apart from what the workflow tests cover."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

demo = pytest.importorskip("pack.tools.demo")


@pytest.mark.parametrize(
    "portrait, longest_side, expected",
    [
        ((512, 512), 512, (512, 512)),
        ((3000, 3000), 192, (192, 192)),
        ((600, 800), 512, (384, 512)),
        ((1920, 1080), 512, (512, 288)),
        ((1000, 667), 512, (512, 344)),
        ((500, 333), 192, (192, 128)),
    ],
)
def test_the_video_has_the_portraits_shape_in_multiples_of_8(portrait, longest_side, expected):
    assert demo.fitting_size(*portrait, longest_side) == expected


@pytest.mark.parametrize("longest_side", [192, 512])
def test_every_ordinary_portrait_has_a_size_within_one_percent(longest_side):
    for height in range(300, 1001, 7):
        width, tall = demo.fitting_size(600, height, longest_side)
        assert abs(600 * tall / (height * width) - 1) <= 0.01


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
    assert found.names["VExpressLoader"]["motion_module"] == "motion_module.pth"


@pytest.mark.slow
def test_the_demo_ends_with_the_path_of_a_video(tmp_path):
    tools = Path(demo.__file__).parent
    command = [sys.executable, tools, "demo", "--seconds", "0.5", "--output", tmp_path]
    cache = {"V_EXPRESS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, env=os.environ | cache, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).stat().st_size > 1000
