"""Wall, clothes, neck, ears, head and hair: what fills the picture."""

import torch
from torch import Tensor

from .identity import Identity
from .placing import MIDDLE, Grid, Head, grid_of, spot
from .shapes import TINY, cover, ellipse, merged, paint, soft, waves

FOLLOWS = 0.55  # how much of the head's shift the shoulders take part in
CURLS, STRANDS = 5, 2.6  # on half a head; in a unit of direction
SHADE = (0.8, 0.66, 0.62)  # of skin


def draw_figure(picture: Tensor, person: Identity, head: Head, opening: Tensor) -> None:
    """
    picture: (F, 3, H, W) all of it is overwritten
    opening: (F, 1, 1) of the mouth, in units
    """
    size, device = picture.shape[-1], picture.device
    places = torch.arange(size, device=device, dtype=torch.float32)
    columns, rows = places[None, None], places[None, :, None]
    seen = grid_of(head, columns, rows)
    shade = person.skin * torch.tensor(SHADE, device=device)[:, None, None]
    _draw_wall(picture, person, columns / size, rows / size)
    hair = _hair(person, head, seen)
    paint(picture, person.hair * 0.78, cover(hair, head.unit))
    _draw_body(picture, person, head, _body_grid(head, columns, rows, size), shade)
    face = _face(person, head, seen, opening)
    _draw_ears(picture, person, head, seen, shade)
    paint(picture, person.skin, cover(face, head.unit))
    _shade_face(picture, person, head, seen, face, shade)
    _draw_front_hair(picture, person, head, seen, hair, face, shade)


def _draw_wall(picture: Tensor, person: Identity, across: Tensor, down: Tensor) -> None:
    picture.copy_(person.wall * (1.06 - 0.2 * down)[:, None])
    glow = (1 - ((across - 0.42) ** 2 + (down - 0.36) ** 2) / 0.36).clamp(0, 1)
    paint(picture, 0.5 + 0.5 * person.wall, 0.7 * glow * glow)


def _body_grid(head: Head, columns: Tensor, rows: Tensor, size: int) -> tuple[Grid, Tensor]:
    """Upright and slower than the head; and where the neck leaves the head, in units."""
    rest_x, rest_y = MIDDLE[0] * size - 0.5, MIDDLE[1] * size - 0.5
    x, y = rest_x + FOLLOWS * (head.x - rest_x), rest_y + FOLLOWS * (head.y - rest_y)
    cos, sin = head.roll
    neck = (head.x - x) / head.unit - 0.7 * sin
    grid = Grid((columns - x) / head.unit, (rows - y) / head.unit)
    return Grid(*torch.broadcast_tensors(*grid)), neck


def _draw_body(
    picture: Tensor, person: Identity, head: Head, body: tuple[Grid, Tensor], shade: Tensor
) -> None:
    (x, y), leaves = body
    unit = head.unit
    middle = leaves * ((1.5 - y) / 0.9).clamp(0, 1)
    shoulders = merged(ellipse(x, y - 2.4, 1.75, 0.98), ellipse(x, y - 1.75, 0.62, 0.42), 0.35)
    neck = merged((x - middle).abs() - 0.36, shoulders + 0.03, 0.3)
    neck = torch.maximum(neck, 0.2 - y)
    paint(picture, person.skin, cover(neck, unit))
    fallen = soft(ellipse(x - middle, y - 0.88, 0.62, 0.55), 0.3)
    paint(picture, shade * 0.92, 0.75 * fallen * cover(neck, unit))
    hole = ellipse(x, y - 1.28, 0.5, person.neckline)
    cloth = cover(torch.maximum(shoulders, -hole), unit)
    paint(picture, person.cloth, cloth)
    paint(picture, person.cloth * 0.6, 0.5 * cloth * soft(1.1 - x - 0.3 * y, 0.9))
    paint(picture, person.trim, cloth * cover(hole - 0.07, unit))


def _draw_ears(picture: Tensor, person: Identity, head: Head, seen: Grid, shade: Tensor) -> None:
    bare = (2 - 4 * person.hair_long).clamp(0, 1)  # long hair hides them
    for side in (-1, 1):
        at = spot(head, side * (person.cheek_width + 0.03), person.eye_below + 0.1, -0.15)
        x, y = seen.x - at.x, seen.y - at.y
        paint(picture, person.skin * 0.96, bare * cover(ellipse(x, y, 0.12, 0.2), head.unit))
        paint(picture, shade, 0.7 * bare * soft(ellipse(x, y, 0.06, 0.12), 0.06))


def _face(person: Identity, head: Head, seen: Grid, opening: Tensor) -> Tensor:
    """Distance from a round skull and a jaw that is nearer to the viewer and sinks as the mouth opens."""
    chin = person.chin + 0.5 * opening
    jaw = spot(head, 0.0, chin - 0.62, 0.42)
    skull = ellipse(seen.x, seen.y + 0.22, person.cheek_width, 0.92)
    return merged(skull, ellipse(seen.x - jaw.x, seen.y - jaw.y, person.jaw_width, 0.6), 0.3)


def _shade_face(
    picture: Tensor, person: Identity, head: Head, seen: Grid, face: Tensor, shade: Tensor
) -> None:
    inside = cover(face, head.unit)
    rim = soft(-face - 0.04, 0.4) * (0.45 + 0.6 * seen.x).clamp(0, 1)
    paint(picture, shade, 0.6 * inside * rim)
    for side in (-1, 1):
        at = spot(head, 0.5 * side, person.mouth_below - 0.24, 0.65)
        x, y = seen.around(at)
        cheek = soft(ellipse(x, y, 0.2, 0.14), 0.22)
        blush = person.skin * torch.tensor((0.98, 0.7, 0.68), device=picture.device)[:, None, None]
        paint(picture, blush, person.blush * inside * cheek)


def _hair(person: Identity, head: Head, seen: Grid) -> Tensor:
    """Distance from all the hair, of which the face and the shoulders will hide a part."""
    volume, long = person.hair_volume, person.hair_long
    at = spot(head, 0.0, -0.24, -0.12)
    x = seen.x - at.x
    cap = ellipse(x, seen.y - at.y, person.cheek_width + 0.05 + 0.6 * volume, 0.93 + volume)
    fall = ellipse(x, seen.y - 0.45 * long, person.cheek_width + 0.9 * volume, 0.55 * long + 0.3)
    curls = waves(CURLS * x / (x.abs() + (seen.y + 0.1).abs() + TINY))
    hair = merged(cap, fall, 0.1 + 0.4 * long.clamp(max=1)) + person.hair_curl * (0.5 - curls)
    bun = ellipse(x, seen.y + 1.05 + volume + 0.2 * person.bun, person.bun + 0.01, person.bun + 0.01)
    return torch.minimum(hair, bun + 10 * (person.bun == 0))


def _draw_front_hair(
    picture: Tensor, person: Identity, head: Head, seen: Grid, hair: Tensor, face: Tensor, shade: Tensor
) -> None:
    window = _window(person, head, seen)
    near = soft(-window - 0.05, 0.14) * (window < 0)
    paint(picture, shade, 0.6 * near * cover(face, head.unit))
    ends = seen.y - person.eye_below - 0.02 - 4 * (person.hair_long - 0.25).clamp(min=0)
    front = torch.maximum(hair, -merged(window, -ends, 0.15))
    inside = cover(front, head.unit)
    paint(picture, person.hair, inside)
    rim = soft(-front - 0.02, 0.3) * (0.4 + 0.5 * seen.x).clamp(0, 1)
    paint(picture, person.hair * 0.68, 0.6 * inside * rim)
    flow = (seen.x + person.hair_sweep) / (seen.y + 1.7).clamp(min=0.2)
    paint(picture, person.hair * 0.7, 0.4 * inside * waves(STRANDS * flow) ** 2)
    band = soft((hair + 0.2).abs() - 0.03, 0.1) * soft(ellipse(seen.x + 0.38, seen.y + 0.75, 0.42, 0.36), 0.3)
    paint(picture, 0.3 + 0.7 * person.hair, 0.55 * inside * band)


def _window(person: Identity, head: Head, seen: Grid) -> Tensor:
    """Distance from the opening in the hair, for the face: a hairline above, and locks that close in on the jaw."""
    at = spot(head, 0.0, 0.35, 0.5)
    x, y = seen.x - at.x, seen.y - at.y
    closing = y.clamp(max=0) + 0.75 * y.clamp(0, 0.7)
    sides = ellipse(x, closing, person.cheek_width - person.hair_side + 0.02, 1.08)
    parting = person.hair_part * (1 - (x + 0.9 * person.hair_sweep).abs() / 0.5).clamp(min=0)
    line = person.hairline - 0.35 - y + person.hair_sweep * x - parting
    line = line / (1 + person.hair_sweep**2).sqrt()
    return -merged(-sides, -line, 0.12)
