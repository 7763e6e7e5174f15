"""Charts of V-Kps and of a voice, to see at a glance how the head moves or what is heard, and where something is wrong."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from .audio import Fault
from .kps import Kps

WIDTH = 640  # pixels
LEFT, RIGHT = 84, 624  # the time axis
TOP, ROW, GAP = 28, 56, 8  # the rows of curves below the headline
LINE, CHARACTERS = 15, 100  # of the sentences below the chart
SHARPNESS = 2  # curves are drawn larger and made smaller, which smooths them
FONT = ImageFont.load_default(11 * SHARPNESS)
MOST_POINTS = 4 * WIDTH  # of a curve
LEAST_VOICE = 0.02  # peak to peak: a softer voice does not fill the row

BACKGROUND, PANEL, GRID = (24, 24, 27), (36, 36, 41), (58, 58, 66)
TEXT, FAINT = (226, 226, 230), (150, 150, 158)
FILLED, OUTSIDE = (140, 104, 30), (170, 44, 48)


class Curve(NamedTuple):
    name: str
    values: ndarray  # (F,)
    unit: str
    least_span: float  # a smaller movement does not fill the row
    colour: tuple[int, int, int]
    up: int = 1  # -1 where larger values lie lower in the picture, and so in the chart
    digits: int = 1
    low: ndarray | None = None  # (F,) fills the curve from here to `values`


class Mark(NamedTuple):
    frames: ndarray  # (F,) bool
    colour: tuple[int, int, int]
    name: str


def draw_chart(kps: Kps, filled: Tensor | None = None, notes: Sequence[str] = ()) -> Image.Image:
    """
    Place, size and roll of the face over time; frames that leave the picture are marked.

    filled: (F,) bool, frames in which no face was found and the points were filled in
    notes:  sentences to write below
    """
    marks = [Mark(kps.outside().numpy(), OUTSIDE, "outside the picture")]
    if filled is not None:
        marks.insert(0, Mark(filled.numpy(), FILLED, "filled in"))
    headline = f"{clip_headline(len(kps), kps.fps)}, {kps.width} x {kps.height} px"
    return draw_curves(_curves(kps), kps.fps, headline, marks, notes)


def draw_voice(mono: Tensor, frames: int, fps: float, fault: Fault | None = None) -> Image.Image:
    """
    What is heard in a clip of so many frames; those with a fault are marked.

    mono: (N,) samples in -1..1, as long as the clip
    """
    columns = min(len(mono), SHARPNESS * (RIGHT - LEFT))
    high, low = (sign * F.adaptive_max_pool1d(sign * mono[None], columns)[0].numpy() for sign in (1, -1))
    voice = Curve("voice", high, "", LEAST_VOICE, (94, 190, 255), digits=2, low=low)
    marks = [Mark(fault.frames.numpy(), OUTSIDE, fault.name)] if fault else []
    notes = [fault.note] if fault else []
    return draw_curves([voice], columns * fps / frames, clip_headline(frames, fps), marks, notes)


def clip_headline(frames: int, fps: float) -> str:
    return f"{frames} frame{'s' * (frames > 1)}, {fps:g} fps, {frames / fps:.2f} s"


def draw_curves(
    curves: Sequence[Curve], fps: float, headline: str, marks: Sequence[Mark] = (), notes: Sequence[str] = ()
) -> Image.Image:
    """Curves over the same frames, one below the other."""
    lines = [line for note in notes for line in textwrap.wrap(note, CHARACTERS)]
    bottom = TOP + len(curves) * (ROW + GAP)
    size = (WIDTH, bottom + LINE * (1 + len(lines)) + GAP)
    image = Image.new("RGB", [SHARPNESS * side for side in size], BACKGROUND)
    draw = _Pen(image)
    _headline(draw, headline, marks)
    for row, curve in enumerate(curves):
        top = TOP + row * (ROW + GAP)
        draw.box(LEFT, top, RIGHT, top + ROW, PANEL)
        _seconds(draw, len(curve.values) / fps, top, labels=row == len(curves) - 1)
        for mark in marks:
            _mark(draw, mark.frames, top, mark.colour)
        _curve(draw, curve, top)
    for number, line in enumerate(lines):
        draw.text(12, bottom + LINE * (1.5 + number), line, TEXT)
    return image.reduce(SHARPNESS)


class _Pen:
    """Draws in the chart's own pixels on an image that is SHARPNESS times as large."""

    def __init__(self, image: Image.Image):
        self.draw = ImageDraw.Draw(image)

    def box(self, left: float, top: float, right: float, bottom: float, colour: tuple) -> None:
        corners = [SHARPNESS * value for value in (left, top, right, bottom)]
        self.draw.rectangle([*corners[:2], corners[2] - 1, corners[3] - 1], colour)

    def line(self, x: ndarray, y: ndarray, colour: tuple) -> None:
        points = (np.stack([x, y], axis=1) * SHARPNESS).flatten().tolist()
        self.draw.line(points, colour, width=3, joint="curve")

    def columns(self, x: ndarray, high: ndarray, low: ndarray, colour: tuple) -> None:
        lines = SHARPNESS * np.stack([x, high, x, low], axis=1)
        for line in lines.tolist():
            self.draw.line(line, colour, width=SHARPNESS)

    def text(self, x: float, y: float, text: str, colour: tuple, anchor: str = "lm") -> None:
        self.draw.text((x * SHARPNESS, y * SHARPNESS), text, colour, FONT, anchor)


def _curves(kps: Kps) -> list[Curve]:
    points = kps.points.numpy().astype(np.float64)
    x, y = points.mean(1).T
    across, down = (points[:, 1] - points[:, 0]).T
    size = np.hypot(across, down)
    roll = np.degrees(np.unwrap(np.arctan2(down, across)))
    pixels = 0.08 * max(kps.width, kps.height)
    return [
        Curve("x", x, "px", pixels, (94, 190, 255)),
        Curve("y", y, "px", pixels, (120, 220, 140), up=-1),
        Curve("eye distance", size, "px", pixels / 2, (240, 190, 90)),
        Curve("roll", roll, "°", 6.0, (214, 140, 255)),
    ]


def _headline(draw: _Pen, headline: str, marks: Sequence[Mark]) -> None:
    draw.text(12, TOP / 2, headline, TEXT)
    right = RIGHT
    for frames, colour, name in marks:
        if frames.any():
            label = f"{name}: {frames.sum()}"
            draw.text(right, TOP / 2, label, TEXT, "rm")
            right -= FONT.getlength(label) / SHARPNESS + 16
            draw.box(right, TOP / 2 - 5, right + 10, TOP / 2 + 5, colour)
            right -= 14


def _x(frames: ndarray, count: int) -> ndarray:
    """Where on the time axis the middle of a frame lies."""
    return LEFT + (frames + 0.5) / count * (RIGHT - LEFT)


def _mark(draw: _Pen, marked: ndarray, top: float, colour: tuple) -> None:
    """A band for each run of marked frames, in whole pixels, so that a single frame is seen."""
    edges = np.flatnonzero(np.diff(marked, prepend=False, append=False)).reshape(-1, 2)
    for first, end in edges:
        left, right = _x(np.array([first, end]) - 0.5, len(marked))
        draw.box(np.floor(left), top, np.ceil(right), top + ROW, colour)


def _seconds(draw: _Pen, duration: float, top: float, labels: bool) -> None:
    step = next(s for s in _steps() if duration / s <= 10)
    for second in np.arange(0, duration + step / 1000, step):
        x = LEFT + second / duration * (RIGHT - LEFT)
        draw.box(x, top, x + 0.5, top + ROW, GRID)
        if labels:
            draw.text(x, top + ROW + 9, f"{second:g} s", FAINT, "mm")


def _steps():
    """0.01, 0.02, 0.05, 0.1, …"""
    power = 0.01
    while True:
        yield from (round(power * factor, 2) for factor in (1, 2, 5))
        power *= 10


def _curve(draw: _Pen, curve: Curve, top: float) -> None:
    low, high = (curve.values if curve.low is None else curve.low).min(), curve.values.max()
    middle, span = (low + high) / 2, max(high - low, curve.least_span) * 1.15
    upper, lower = (high, low)[:: curve.up]
    frames = np.arange(0, len(curve.values), -(-len(curve.values) // MOST_POINTS))
    x = _x(frames, len(curve.values))
    y = top + ROW * (0.5 - curve.up * (curve.values[frames] - middle) / span)
    if len(x) == 1 and curve.low is None:
        x, y = np.array([LEFT, RIGHT]), y.repeat(2)
    if curve.low is None:
        draw.line(x, y, curve.colour)
    else:
        draw.columns(x, y, top + ROW * (0.5 - (curve.low[frames] - middle) / span), curve.colour)
    draw.text(12, top + ROW / 2 - 14, curve.name, curve.colour)
    draw.text(12, top + ROW / 2 + 2, f"{upper:.{curve.digits}f} {curve.unit}", FAINT)
    draw.text(12, top + ROW / 2 + 16, f"{lower:.{curve.digits}f} {curve.unit}", FAINT)
