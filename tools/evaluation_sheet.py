"""Judged videos side by side: as a page, as a picture, and as numbers for other programs."""

import base64
import html
import io
import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..vexpress.chart import BACKGROUND, TEXT, WIDTH

FONT, TITLE = ImageFont.load_default(15), ImageFont.load_default(20)
LINE, PADDING, CHARACTERS = 22, 12, 80
STILL = (320, 320)  # at most

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; background: #18181b; color: #e2e2e6 }
table { border-collapse: collapse } td, th { padding: .3em 1em; text-align: right; vertical-align: top }
th:first-child { text-align: left; font-weight: normal; color: #96969e } tr + tr { border-top: 1px solid #3a3a42 }
video, img { width: 420px; display: block } .failed { color: #ff8b8b; max-width: 420px; text-align: left }
li { max-width: 60em; overflow-wrap: anywhere }
"""


def write_sheet(folder: Path, judged: Sequence[tuple]) -> list[Path]:
    """
    judged: of each video its path and its Evaluation, or the sentence that says why there is none
    """
    files = [folder / f"evaluation.{kind}" for kind in ("html", "png", "json")]
    files[0].write_text(page(judged), "utf-8")
    picture(judged).save(files[1])
    files[2].write_text(json.dumps(numbers(judged), indent=1, ensure_ascii=False, allow_nan=False), "utf-8")
    return files


def numbers(judged: Sequence[tuple]) -> dict:
    """What JSON can hold: an infinite number becomes null."""
    return {
        path.name: {"error": found}
        if isinstance(found, str)
        else {
            "numbers": {n.name: n.value if math.isfinite(n.value) else None for n in found.numbers},
            "units": {n.name: n.unit for n in found.numbers},
            "notes": found.notes,
        }
        for path, found in judged
    }


def page(judged: Sequence[tuple]) -> str:
    """The videos are named relative to the page; all else is in it."""
    good = [found for _, found in judged if not isinstance(found, str)]
    names = list(dict.fromkeys(number.name for found in good for number in found.numbers))
    rows = [
        _row("", [f"<th>{html.escape(path.name)}</th>" for path, _ in judged]),
        _row("", [_video(path.name) for path, _ in judged]),
        *(_row(name, [_value(found, name) for _, found in judged]) for name in names),
        _row("over time", [_chart(found) for _, found in judged]),
    ]
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in _notes(judged))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation</title><style>{STYLE}</style>'
        f"<table>{''.join(rows)}</table><ul>{listed}</ul></html>\n"
    )


def _notes(judged: Sequence[tuple]) -> list[str]:
    """Each once, with the videos it is about if these are not all."""
    notes: dict[str, list[str]] = {}
    good = [(path, found) for path, found in judged if not isinstance(found, str)]
    for path, found in good:
        for note in found.notes:
            notes.setdefault(note, []).append(path.name)
    return [
        note if len(names) == len(good) else f"{', '.join(names)}: {note}" for note, names in notes.items()
    ]


def _row(name: str, cells: list[str]) -> str:
    return f"<tr><th>{html.escape(name)}</th>{''.join(cells)}</tr>"


def _video(name: str) -> str:
    return f'<td><video controls loop muted preload="metadata" src="{quote(name)}"></video></td>'


def _value(found, name: str) -> str:
    number = None if isinstance(found, str) else next((n for n in found.numbers if n.name == name), None)
    return "<td>–</td>" if number is None else f"<td>{html.escape(str(number).split(': ', 1)[1])}</td>"


def _chart(found) -> str:
    if isinstance(found, str):
        return f'<td class="failed">{html.escape(found)}</td>'
    png = io.BytesIO()
    found.chart.save(png, "PNG")
    return f'<td><img alt="" src="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"></td>'


def picture(judged: Sequence[tuple]) -> Image.Image:
    """A column for each video."""
    columns = [_column(path.name, found) for path, found in judged]
    size = (sum(column.width for column in columns), max(column.height for column in columns))
    sheet, left = Image.new("RGB", size, BACKGROUND), 0
    for column in columns:
        sheet.paste(column, (left, 0))
        left += column.width
    return sheet


def _column(name: str, found) -> Image.Image:
    if isinstance(found, str):
        pictures, lines = [], textwrap.wrap(found, CHARACTERS)
    else:
        still = ImageOps.contain(found.still, STILL)
        pictures = [still, found.chart]
        lines = [str(number).replace("Δ", "Delta ") for number in found.numbers]  # the font has no Δ
    top = 2 * PADDING + LINE
    height = top + sum(image.height + PADDING for image in pictures) + LINE * len(lines) + PADDING
    column = Image.new("RGB", (WIDTH, height), BACKGROUND)
    draw = ImageDraw.Draw(column)
    draw.text((PADDING, PADDING), name, TEXT, TITLE)
    for image in pictures:
        column.paste(image, (PADDING if image.width < WIDTH else 0, top))
        top += image.height + PADDING
    for number, line in enumerate(lines):
        draw.text((PADDING, top + LINE * number), line, TEXT, FONT)
    return column
