import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pack.tools.evaluation_sheet import write_sheet
from pack.vexpress.chart import BACKGROUND, WIDTH
from pack.vexpress.metrics import Number
from PIL import Image


class Judged(NamedTuple):
    numbers: list[Number]
    notes: list[str]
    chart: Image.Image
    still: Image.Image


def judged(*numbers: Number, notes: tuple = ()) -> Judged:
    chart = Image.new("RGB", (WIDTH, 100), (1, 2, 3))
    return Judged(list(numbers), ["FVD is not computed.", *notes], chart, Image.new("RGB", (640, 480), "red"))


@pytest.fixture
def sheet(tmp_path):
    write_sheet(
        tmp_path,
        [
            (Path("our & own.mp4"), judged(Number("KpsDis", 1.25, "px"), Number("PSNR", np.inf, "dB"))),
            (Path("theirs.mp4"), judged(Number("KpsDis", 2.5, "px"), notes=("It ends early.",))),
            (Path("broken.mp4"), "The video cannot be read."),
        ],
    )
    return tmp_path


def test_the_page_names_videos_by_relative_path_and_holds_all_else(sheet):
    page = (sheet / "evaluation.html").read_text("utf-8")
    assert 'src="our%20%26%20own.mp4"' in page and "our &amp; own.mp4" in page
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page


def test_the_page_has_a_row_for_each_number_and_a_dash_for_a_missing_one(sheet):
    page = (sheet / "evaluation.html").read_text("utf-8")
    assert "<td>1.25 px</td><td>2.50 px</td><td>–</td>" in page
    assert "<td>inf dB</td><td>–</td><td>–</td>" in page


def test_a_note_on_all_videos_stands_once_and_one_on_some_names_them(sheet):
    page = (sheet / "evaluation.html").read_text("utf-8")
    assert page.count("FVD is not computed.") == 1 and "<li>FVD is not computed.</li>" in page
    assert "<li>theirs.mp4: It ends early.</li>" in page


def test_numbers_are_json_that_every_program_reads(sheet):
    content = json.loads((sheet / "evaluation.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert content["theirs.mp4"]["numbers"] == {"KpsDis": 2.5}
    assert content["our & own.mp4"]["numbers"]["PSNR"] is None
    assert content["broken.mp4"] == {"error": "The video cannot be read."}


def test_the_picture_has_a_column_for_each_video(sheet):
    columns = np.asarray(Image.open(sheet / "evaluation.png")).reshape(-1, 3, WIDTH, 3)
    for column in columns.transpose(1, 0, 2, 3):
        assert (column.astype(int) - BACKGROUND).max() > 100  # something is written
