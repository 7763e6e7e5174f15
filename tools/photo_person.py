"""Draws the person of the example photo: nobody's likeness, in flat colours with soft shadows."""

import math
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter

OVERSAMPLING = 4
LEFT_EYE, NOSE = (199.0, 213.0), (256.0, 277.0)

Point = tuple[float, float]
Colour = tuple[int, int, int]

SKIN, SKIN_SHADE, SKIN_LIGHT = (233, 184, 154), (196, 132, 106), (250, 214, 188)
BLUSH, LIP, LIP_DARK = (226, 126, 112), (190, 88, 88), (128, 52, 58)
HAIR, HAIR_DARK, HAIR_LIGHT = (74, 46, 40), (46, 28, 28), (124, 78, 58)
IRIS, IRIS_LIGHT, LASH = (84, 108, 92), (138, 160, 128), (44, 28, 28)
CLOTH, CLOTH_SHADE, CLOTH_LIGHT = (38, 88, 104), (24, 62, 78), (66, 120, 134)


class View(NamedTuple):
    """Where the portrait's pixels are seen in another picture: its pivot at a point there, turned and scaled."""

    at: Point = NOSE
    scale: float = 1.0
    degrees: float = 0.0
    pivot: Point = NOSE

    def __call__(self, point: Point) -> Point:
        x, y = point[0] - self.pivot[0], point[1] - self.pivot[1]
        turn = math.radians(self.degrees)
        cos, sin = self.scale * math.cos(turn), self.scale * math.sin(turn)
        return self.at[0] + x * cos - y * sin, self.at[1] + x * sin + y * cos


class Picture:
    """A canvas drawn larger than it will be, so that edges come out smooth; points are given as the view sees them."""

    def __init__(self, width: int, height: int, oversampling: int = OVERSAMPLING):
        self.size, self.oversampling = (width, height), oversampling
        self.image = Image.new("RGB", (width * oversampling, height * oversampling))
        self.view = View()

    def finished(self) -> Image.Image:
        return self.image.resize(self.size, Image.Resampling.LANCZOS)

    def mask(self, points: list[Point], blur: float = 0.0) -> Image.Image:
        """The inside of a smooth closed curve through the points; blur is a radius in the view's pixels."""
        mask = Image.new("L", self.image.size)
        seen = map(self.view, smooth(points))
        outline = [(x * self.oversampling, y * self.oversampling) for x, y in seen]
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        radius = blur * self.view.scale * self.oversampling
        return mask.filter(ImageFilter.GaussianBlur(radius)) if blur else mask

    def paint(self, mask: Image.Image, colour: Colour, opacity=1.0, inside: Image.Image | None = None):
        if inside is not None:
            mask = ImageChops.multiply(mask, inside)
        self.image.paste(colour, mask=mask.point(lambda v: round(v * opacity)))

    def fill(self, points: list[Point], colour: Colour, opacity=1.0, blur=0.0, inside=None):
        self.paint(self.mask(points, blur), colour, opacity, inside)

    def stroke(self, points: list[Point], widths: list[float], colour: Colour, **options):
        """A brush stroke along the points, as wide as said at each."""
        self.fill(_outline(points, widths), colour, **options)


def smooth(points: list[Point], steps: int = 24) -> list[Point]:
    """A closed Catmull-Rom curve through the points."""
    curve = []
    count = len(points)
    for i in range(count):
        p0, p1, p2, p3 = (points[(i + k) % count] for k in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            curve.append(tuple(_spline(*each, t) for each in zip(p0, p1, p2, p3, strict=True)))
    return curve


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def ellipse(x: float, y: float, rx: float, ry: float, tilt: float = 0.0) -> list[Point]:
    turn = math.radians(tilt)
    cos, sin = math.cos(turn), math.sin(turn)
    around = [(rx * math.cos(a), ry * math.sin(a)) for a in (math.tau * i / 16 for i in range(16))]
    return [(x + u * cos - v * sin, y + u * sin + v * cos) for u, v in around]


def _outline(points: list[Point], widths: list[float]) -> list[Point]:
    there, back = [], []
    for i, ((x, y), width) in enumerate(zip(points, widths, strict=True)):
        (x0, y0), (x1, y1) = points[max(i - 1, 0)], points[min(i + 1, len(points) - 1)]
        length = math.hypot(x1 - x0, y1 - y0)
        nx, ny = (y0 - y1) / length * width / 2, (x1 - x0) / length * width / 2
        there.append((x + nx, y + ny))
        back.append((x - nx, y - ny))
    return there + back[::-1]


def grown(points: list[Point], factor: float = 1.1) -> list[Point]:
    """Larger around the left eye."""
    x0, y0 = LEFT_EYE
    return [(x0 + factor * (x - x0), y0 + factor * (y - y0)) for x, y in points]


def mirror(points: list[Point]) -> list[Point]:
    return [(2 * NOSE[0] - x, y) for x, y in points]


FACE = [
    (256, 74), (318, 88), (362, 138), (374, 204), (370, 262), (356, 322), (328, 376), (292, 412),
    (256, 422), (220, 412), (184, 376), (156, 322), (142, 262), (138, 204), (150, 138), (194, 88),
]  # fmt: skip
EYE = [
    (172, 218), (182, 207), (197, 201.5), (212, 204.5), (224, 215), (226, 219), (214, 223.5), (198, 225),
    (184, 223.5),
]  # fmt: skip
BROW = [(161, 187), (176, 176), (196, 171.5), (216, 174), (231, 178)]


def draw_person(picture: Picture) -> None:
    _back_hair(picture)
    _neck_and_clothes(picture)
    _face(picture)
    for mirrored in (False, True):
        _eye(picture, mirrored)
    _nose(picture)
    _mouth(picture)
    _front_hair(picture)


def _back_hair(picture: Picture) -> None:
    shape = [
        (256, 26), (318, 34), (370, 72), (398, 140), (406, 220), (414, 300), (416, 372), (392, 424), (346, 438),
        (300, 420), (212, 420), (166, 438), (120, 424), (96, 372), (98, 300), (106, 220), (114, 140), (142, 72),
        (194, 34),
    ]  # fmt: skip
    hair = picture.mask(shape)
    picture.fill([(x + 4, y + 8) for x, y in shape], (120, 120, 112), opacity=0.35, blur=12)
    picture.paint(hair, HAIR_DARK)
    for x, lean in ((114, -6), (128, -2), (146, 6), (366, -6), (384, 2), (398, 6)):
        lock = [(x - lean, 250), (x, 320), (x + lean / 2, 370), (x - lean, 428)]
        picture.stroke(lock, [2, 8, 8, 2], HAIR, opacity=0.9, blur=4, inside=hair)


def _neck_and_clothes(picture: Picture) -> None:
    neck_points = [
        (204, 350), (308, 350), (308, 400), (312, 436), (336, 462), (330, 520), (182, 520), (176, 462),
        (200, 436), (204, 400),
    ]  # fmt: skip
    neck = picture.mask(neck_points)
    picture.paint(neck, SKIN)
    under_chin = [(196, 360), (316, 360), (318, 410), (290, 440), (256, 452), (222, 440), (194, 410)]
    picture.fill(under_chin, SKIN_SHADE, opacity=0.85, blur=9, inside=neck)
    picture.fill(ellipse(318, 440, 18, 60, 10), SKIN_SHADE, opacity=0.5, blur=10, inside=neck)
    cloth = [
        (20, 600), (34, 520), (64, 480), (118, 458), (170, 446), (186, 444), (206, 474), (256, 492), (306, 474),
        (326, 444), (342, 446), (394, 458), (448, 480), (478, 520), (492, 600),
    ]  # fmt: skip
    mask = picture.mask(cloth)
    picture.fill([(x, y - 3) for x, y in cloth], SKIN_SHADE, opacity=0.55, blur=6, inside=neck)
    picture.paint(mask, CLOTH)
    picture.fill(ellipse(420, 520, 60, 60), CLOTH_SHADE, opacity=0.8, blur=18, inside=mask)
    picture.fill(ellipse(112, 486, 60, 22, -12), CLOTH_LIGHT, opacity=0.6, blur=14, inside=mask)
    collar = [(180, 447), (198, 478), (228, 496), (256, 500), (284, 496), (314, 478), (332, 447)]
    picture.stroke(collar, [13] * 7, CLOTH_SHADE, inside=mask)
    picture.stroke([(x, y - 3) for x, y in collar], [9] * 7, CLOTH_LIGHT, opacity=0.8, inside=mask)


def _face(picture: Picture) -> None:
    face = picture.mask(FACE)
    picture.paint(face, SKIN)
    lit = ellipse(226, 196, 92, 120)
    picture.fill(lit, SKIN_LIGHT, opacity=0.55, blur=34, inside=face)
    shade = [
        (330, 80),
        (400, 120),
        (400, 420),
        (256, 440),
        (256, 412),
        (306, 386),
        (340, 330),
        (352, 260),
        (350, 180),
    ]
    picture.fill(shade, SKIN_SHADE, opacity=0.75, blur=18, inside=face)
    picture.fill(ellipse(256, 428, 92, 20), SKIN_SHADE, opacity=0.4, blur=12, inside=face)
    for x, opacity in ((182, 0.42), (330, 0.4)):
        picture.fill(ellipse(x, 290, 30, 22), BLUSH, opacity=opacity, blur=16, inside=face)


def _eye(picture: Picture, mirrored: bool) -> None:

    def side(points: list[Point]) -> list[Point]:
        return mirror(grown(points)) if mirrored else grown(points)

    x, y = LEFT_EYE
    outline = picture.mask(side(EYE))
    picture.fill(side([(x_, y_ - 9) for x_, y_ in EYE]), SKIN_SHADE, opacity=0.5, blur=7)
    picture.paint(outline, (250, 246, 242))
    centre = side([(x + 1, y)])[0]
    picture.fill(ellipse(*centre, 14.2, 14.2), (52, 62, 56), inside=outline)
    picture.fill(ellipse(*centre, 13, 13), IRIS, inside=outline)
    picture.fill(ellipse(centre[0], centre[1] + 5, 8.5, 5.5), IRIS_LIGHT, opacity=0.9, blur=2, inside=outline)
    picture.fill(ellipse(*centre, 6.2, 6.2), (22, 18, 20), inside=outline)
    picture.fill(side([(px, py - 8) for px, py in EYE]), (96, 72, 70), opacity=0.45, blur=3, inside=outline)
    picture.fill(ellipse(centre[0] - 4.5, centre[1] - 4.5, 3.1, 3.1), (255, 255, 255))
    picture.fill(ellipse(centre[0] + 4.5, centre[1] + 5, 1.5, 1.5), (255, 255, 255), opacity=0.7)
    lash = [(165, 215), (172, 212.5), (182, 205.5), (197, 200), (212, 203), (222, 211), (227, 218)]
    picture.stroke(side(lash), [0.6, 4.2, 5.2, 5, 4, 2.6, 0.6], LASH)
    crease = [(173, 203), (184, 194.5), (198, 191), (212, 193.5), (223, 201)]
    picture.stroke(side(crease), [0.6, 2, 2.4, 1.8, 0.5], (150, 92, 76), opacity=0.7, blur=0.5)
    lower = [(177, 222), (188, 225.5), (199, 227), (213, 225), (223, 221)]
    picture.stroke(side(lower), [0.5, 1.5, 1.8, 1.4, 0.4], (140, 84, 74), opacity=0.75, blur=0.4)
    picture.stroke(side(BROW), [1.5, 6.5, 8, 7.5, 4.5], HAIR_DARK, opacity=0.85, blur=0.6)


def _nose(picture: Picture) -> None:
    x, y = NOSE
    shaded_side = [(x + 5, 216), (x + 16, 246), (x + 24, 276), (x + 18, 288), (x + 4, 284), (x + 6, 250)]
    picture.fill(shaded_side, SKIN_SHADE, opacity=0.45, blur=6)
    picture.fill(
        [(x - 12, 190), (x - 4, 200), (x - 12, 238), (x - 20, 214)], SKIN_SHADE, opacity=0.18, blur=6
    )
    ridge = [(x - 3, 210), (x + 3, 210), (x + 4, 262), (x, 272), (x - 5, 262)]
    picture.fill(ridge, SKIN_LIGHT, opacity=0.75, blur=4)
    picture.fill(ellipse(x, y + 15, 25, 7), SKIN_SHADE, opacity=0.5, blur=5)
    picture.fill(ellipse(x - 2, y - 3, 8, 6), (255, 230, 210), opacity=0.8, blur=4)
    for side in (-1, 1):
        wing = [(x + side * 20, y - 3), (x + side * 25, y + 6), (x + side * 21, y + 13)]
        picture.stroke(wing, [0.6, 3, 0.8], (166, 100, 82), opacity=0.8, blur=0.9)
        picture.fill(
            ellipse(x + side * 10.5, y + 13.5, 5.6, 2.6, side * -14), (126, 66, 58), opacity=0.9, blur=0.8
        )


def _mouth(picture: Picture) -> None:
    upper = [
        (211, 342), (232, 336), (246, 331.5), (256, 335), (266, 331.5), (280, 336), (301, 342), (280, 346),
        (256, 347.5), (232, 346),
    ]  # fmt: skip
    lower = [
        (215, 345), (232, 346.5), (256, 348), (280, 346.5), (297, 345), (284, 358), (268, 365), (256, 366),
        (244, 365), (228, 358),
    ]  # fmt: skip
    picture.fill(ellipse(256, 374, 34, 6), SKIN_SHADE, opacity=0.55, blur=5)
    picture.fill(upper, LIP)
    lower_lip = picture.mask(lower)
    picture.paint(lower_lip, (206, 108, 104))
    picture.fill(ellipse(252, 355, 20, 4), (240, 168, 158), opacity=0.7, blur=3, inside=lower_lip)
    seam = [(207, 339.5), (218, 344), (236, 346), (256, 348), (276, 346), (294, 344), (305, 339.5)]
    picture.stroke(seam, [1, 2.6, 2.2, 2.6, 2.2, 2.6, 1], LIP_DARK, opacity=0.9, blur=0.4)
    picture.fill([(251, 300), (261, 300), (262, 326), (250, 326)], SKIN_SHADE, opacity=0.25, blur=3)


def _front_hair(picture: Picture) -> None:
    face = picture.mask(FACE)
    sweep = [
        (228, 29), (290, 29), (346, 52), (384, 104), (398, 180), (400, 270), (398, 352), (384, 392), (374, 352),
        (378, 280), (374, 226), (356, 178), (318, 138), (262, 110), (230, 92), (202, 118), (170, 152),
        (150, 200), (140, 256), (138, 304), (140, 350), (128, 392), (114, 352), (110, 270), (112, 180),
        (126, 104), (164, 54),
    ]  # fmt: skip
    picture.fill([(x, y + 9) for x, y in sweep], (150, 92, 76), opacity=0.6, blur=8, inside=face)
    hair = picture.mask(sweep)
    picture.paint(hair, HAIR)
    picture.fill(ellipse(392, 250, 16, 150, -2), HAIR_DARK, opacity=0.8, blur=12, inside=hair)
    picture.fill(ellipse(118, 300, 12, 110, 2), HAIR_DARK, opacity=0.6, blur=10, inside=hair)
    for start, opacity in ((0, 0.55), (16, 0.4), (34, 0.3)):
        strand = [(226, 62 + start / 4), (274, 64 + start / 3), (322, 92 + start / 2), (356 - start / 2, 140)]
        strand = [(x + start, y) for x, y in strand]
        picture.stroke(strand, [2, 10, 9, 2], HAIR_LIGHT, opacity=opacity, blur=4, inside=hair)
    for start, opacity in ((0, 0.55), (14, 0.35)):
        strand = [(204 - start, 66), (172 - start, 94 + start / 2), (148 - start, 136), (134 - start, 190)]
        picture.stroke(strand, [2, 10, 9, 2], HAIR_LIGHT, opacity=opacity, blur=4, inside=hair)
    parting = [(225, 34), (222, 60), (226, 98)]
    picture.stroke(parting, [1, 3, 2], HAIR_DARK, opacity=0.8, blur=1.2, inside=hair)
