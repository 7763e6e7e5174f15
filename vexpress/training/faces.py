"""Draws an identity in any pose: flat shapes with soft shadows, and V-Kps from the transform that places them."""

from typing import NamedTuple

import torch
from torch import Tensor

from . import features
from .figure import draw_figure
from .identity import Identity
from .motion import Motion
from .placing import Head, Spot, as_floats, head_of, in_picture, spot

PIXELS_AT_ONCE = 1 << 17  # on the CPU: what stays in its cache
EYE_DEPTH, NOSE_DEPTH, MOUTH_DEPTH = 0.72, 1.05, 0.8


class Drawn(NamedTuple):
    """
    images:  (F, 3, H, W) 0..1
    kps:     (F, 3, 2) left eye, right eye, nose as seen in the picture; x, y in pixels
    lip_box: (F, 4) left, top, right, bottom in pixels
    """

    images: Tensor
    kps: Tensor
    lip_box: Tensor


class Landmarks(NamedTuple):
    left_eye: Spot
    right_eye: Spot
    nose: Spot
    mouth: Spot


def draw(identity: Identity, motion: Motion, size: int) -> Drawn:
    """
    identity: of one person, or of one for each frame
    """
    at_once = max(PIXELS_AT_ONCE // size**2, 1)
    parts = []
    for first in range(0, len(motion.x), at_once):
        chunk = slice(first, first + at_once)
        person = identity if len(identity.skin) == 1 else Identity(*(part[chunk] for part in identity))
        parts.append(_draw_some(person, Motion(*(track[chunk] for track in motion)), size))
    return Drawn(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _draw_some(identity: Identity, motion: Motion, size: int) -> Drawn:
    person = _columns(identity)
    head = head_of(motion, size)
    landmarks = landmarks_of(person, head)
    lips = features.lips_of(
        person, motion.opening.double()[:, None, None], motion.width.double()[:, None, None]
    )
    kps = torch.stack([in_picture(head, at.x, at.y) for at in landmarks[:3]], dim=1)
    box = _lip_box(head, landmarks.mouth, lips, person.smile)
    gaze = features.Gaze(
        *(track.double()[:, None, None] for track in (motion.blink, motion.gaze_x, motion.gaze_y))
    )
    person, head, landmarks, lips, gaze = map(as_floats, (person, head, landmarks, lips, gaze))
    picture = torch.empty(len(motion.x), 3, size, size)
    draw_figure(picture, person, head, lips.open)
    features.draw_nose(picture, person, head, landmarks.nose)
    features.draw_mouth(picture, person, head, landmarks.mouth, lips)
    features.draw_eye(picture, person, head, landmarks.left_eye, gaze, -1)
    features.draw_eye(picture, person, head, landmarks.right_eye, gaze, 1)
    return Drawn(picture.clamp_(0, 1), kps.float(), box.float())


def landmarks_of(person: Identity, head: Head) -> Landmarks:
    return Landmarks(
        spot(head, -person.eye_apart, person.eye_below, EYE_DEPTH),
        spot(head, person.eye_apart, person.eye_below, EYE_DEPTH),
        spot(head, 0.0, person.nose_below, NOSE_DEPTH),
        spot(head, 0.0, person.mouth_below, MOUTH_DEPTH),
    )


def _lip_box(head: Head, mouth: Spot, lips: features.Lips, smile: Tensor) -> Tensor:
    """Around both corners, which a smile lifts, and the edges in the middle: (F, 4)"""
    sides = [(-lips.wide, -smile), (lips.wide, -smile), (0, -lips.top), (0, lips.bottom)]
    seen = [(mouth.x + x * mouth.narrow, mouth.y + y * mouth.low) for x, y in sides]
    points = torch.stack([in_picture(head, x, y) for x, y in seen])
    return torch.cat([points.amin(0), points.amax(0)], dim=-1)


def _columns(identity: Identity) -> Identity:
    """(N,) -> (N, 1, 1) and (N, 3) -> (N, 3, 1, 1), float64"""
    return Identity(*(part.double()[..., None, None] for part in identity))
