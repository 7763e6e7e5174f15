import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pack.vexpress import draw
from pack.vexpress.draw import draw_kps, draw_over
from pack.vexpress.kps import Kps
from PIL import Image

# Made with OpenCV 4.11: ellipse2Poly, fillConvexPoly, circle.
GOLDEN = Path(__file__).parent / "golden" / "kps"
CASES = {case["name"]: case for case in json.loads((GOLDEN / "h_kps.json").read_text())["cases"]}
FACE = torch.tensor([[20.0, 22.0], [44.0, 22.0], [32.0, 40.0]])


def picture(name):
    return torch.from_numpy(np.array(Image.open(GOLDEN / name).convert("RGB")))


@pytest.mark.parametrize("name", CASES)
def test_drawing_is_exact(name):
    case = CASES[name]
    drawn = draw_kps(torch.tensor(case["kps"])[None], case["width"], case["height"])
    assert torch.equal(drawn[0], picture(f"kps_png/{name}.png"))


def test_drawing_is_exact_where_the_picture_cuts_it_off():
    case = json.loads((GOLDEN / "random.json").read_text())
    drawn = draw_kps(torch.tensor(case["kps"]), case["width"], case["height"])
    assert torch.equal(drawn.flatten(0, 1), picture("random.png"))


def test_eyes_are_red_and_green_and_the_nose_is_blue():
    image = draw_kps(FACE[None], 64, 48)[0]
    assert [image[y, x].tolist() for x, y in FACE.int().tolist()] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_equal_frames_look_equal_and_others_do_not():
    images = draw_kps(torch.stack([FACE, FACE + 2, FACE]), 64, 48)
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])


def test_a_frame_is_drawn_once_however_often_it_is_asked_for(monkeypatch):
    drawn = []
    monkeypatch.setattr(draw, "_draw_frame", lambda image, points: drawn.append(points))
    draw._drawing.cache_clear()
    for window in (FACE[None], torch.stack([FACE, FACE + 1]), FACE[None] + 1):
        draw_kps(window, 64, 48)
    draw_kps(FACE[None], 64, 64)
    draw._drawing.cache_clear()
    assert [points.tolist() for points in drawn] == [FACE.tolist(), (FACE + 1).tolist(), FACE.tolist()]


def test_a_remembered_drawing_takes_less_than_a_tenth_of_the_picture():
    draw_kps(FACE[None] * 8, 512, 512)
    drawn, values = draw._drawing((FACE * 8).numpy().tobytes(), 512, 512)
    assert drawn.nbytes + values.nbytes < 512 * 512 * 3 / 10


def test_without_background_the_drawing_is_on_black():
    images = draw_over(Kps(FACE[None], 64, 48))
    assert images.shape == (1, 48, 64, 3)
    assert (images.min(), images.max()) == (0, 1)


def test_the_drawing_covers_the_background():
    background = torch.full((3, 96, 128, 3), 0.25)
    images = draw_over(Kps(FACE[None], 64, 48), background)
    assert images.shape == background.shape
    assert images[2, 80, 64].tolist() == [0, 0, 1]  # the nose, scaled to the background
    assert images[2, 0, 0].tolist() == [0.25, 0.25, 0.25]


def test_one_background_serves_all_frames():
    assert draw_over(Kps(FACE.repeat(5, 1, 1), 64, 48), torch.zeros(1, 48, 64, 3)).shape[0] == 5


def test_backgrounds_must_fit_the_frames():
    with pytest.raises(ValueError, match="2 background pictures do not fit 5 frames"):
        draw_over(Kps(FACE.repeat(5, 1, 1), 64, 48), torch.zeros(2, 48, 64, 3))


def test_a_background_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="64x48 pixels cannot become 64x64"):
        draw_over(Kps(FACE[None], 64, 48), torch.zeros(1, 64, 64, 3))
