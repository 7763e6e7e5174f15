"""Draws the example photo: the person of the example portrait, off to the side of a lake in the evening."""

import math

from PIL import Image

from .photo_person import NOSE, Picture, View, draw_person, ellipse

WIDTH, HEIGHT = 1200, 800
PERSON = View(at=(815.0, 560.0), scale=0.9, degrees=3.0, pivot=NOSE)
HORIZON = 430

SKY_TOP, SKY_BOTTOM, SUN = (112, 158, 196), (248, 218, 178), (255, 240, 205)
HILLS = [((150, 164, 178), 350, 34, 260), ((108, 132, 140), 385, 26, 190), ((72, 104, 104), 412, 16, 140)]
WATER, GLITTER = (124, 156, 172), (250, 226, 190)
MEADOW, MEADOW_DARK, TRUNK = (116, 138, 84), (78, 104, 66), (86, 66, 54)
LEAVES = [(66, 96, 66), (82, 114, 72), (104, 134, 82)]


def draw_photo() -> Image.Image:
    picture = Picture(WIDTH, HEIGHT, oversampling=2)
    _sky(picture)
    _hills(picture)
    _lake(picture)
    _meadow(picture)
    _tree(picture)
    picture.view = PERSON
    draw_person(picture)
    return picture.finished()


def _sky(picture: Picture) -> None:
    gradient = Image.linear_gradient("L").resize(picture.image.size)
    bottom, top = (Image.new("RGB", gradient.size, colour) for colour in (SKY_BOTTOM, SKY_TOP))
    picture.image.paste(Image.composite(bottom, top, gradient.point(lambda v: min(2 * v, 255))))
    picture.fill(ellipse(420, 300, 190, 170), SUN, opacity=0.6, blur=70)
    picture.fill(ellipse(420, 300, 34, 34), (255, 250, 235), blur=2)
    for x, y, length in ((180, 110, 150), (300, 150, 110), (640, 90, 170), (980, 160, 130)):
        picture.fill(ellipse(x, y, length, 13), (255, 244, 230), opacity=0.65, blur=9)
        picture.fill(ellipse(x + 40, y - 12, length / 2, 12), (255, 248, 238), opacity=0.6, blur=8)


def _hills(picture: Picture) -> None:
    for colour, top, height, period in HILLS:
        waves = [(math.tau * x / period, x) for x in range(-100, WIDTH + 101, 50)]
        ridge = [(x, top + height * (math.sin(a) + 0.6 * math.sin(0.43 * a + period))) for a, x in waves]
        picture.fill([*ridge, (WIDTH + 100, 600), (-100, 600)], colour, blur=1)


def _lake(picture: Picture) -> None:
    shore = [(x, HORIZON) for x in range(-300, WIDTH + 301, 100)]
    picture.fill([*shore, (WIDTH + 300, 700), (-300, 700)], WATER)
    picture.fill(ellipse(420, 470, 90, 60), GLITTER, opacity=0.5, blur=26)
    for row in range(14):
        y, reach = HORIZON + 10 + 8 * row, 30 + 5 * row
        x = 420 + reach * math.sin(2.4 * row) / 2
        picture.fill(ellipse(x, y, reach, 1.6), GLITTER, opacity=0.7, blur=0.8)


def _meadow(picture: Picture) -> None:
    bank = [
        (-100, 610), (180, 575), (460, 590), (760, 560), (1060, 575), (1300, 555), (1300, 900), (-100, 900),
    ]  # fmt: skip
    meadow = picture.mask(bank)
    picture.paint(meadow, MEADOW)
    picture.fill(ellipse(300, 800, 500, 90), MEADOW_DARK, opacity=0.6, blur=40, inside=meadow)
    for i in range(70):
        x, y = (i * 173) % WIDTH, 620 + (i * 67) % 170
        blade = [(x, y), (x + 3, y - 12), (x + 7, y - 22)]
        picture.stroke(blade, [3, 2.2, 0.6], (MEADOW_DARK, (150, 168, 100))[i % 2], opacity=0.7, blur=0.4)


def _tree(picture: Picture) -> None:
    trunk = [(150, 690), (158, 560), (150, 420), (164, 300)]
    picture.stroke(trunk, [46, 32, 26, 12], TRUNK)
    picture.stroke([(152, 450), (210, 380), (248, 340)], [14, 10, 4], TRUNK)
    for i, (x, y, size) in enumerate(
        [(150, 250, 110), (70, 300, 80), (240, 290, 85), (120, 180, 85), (200, 200, 80), (40, 220, 60)] * 2
    ):
        colour = LEAVES[(i + i // 6) % 3]
        lift = -24 * (i // 6)
        picture.fill(ellipse(x + lift / 2, y + lift, size, 0.72 * size, 9 * i), colour, opacity=0.92, blur=3)
