"""Who the examples show: people drawn as the tiny talker knows them, though it has not seen these."""

import torch
from torch import Tensor

from ..vexpress.training.faces import Drawn, draw, landmarks_of
from ..vexpress.training.identity import Identity, identity
from ..vexpress.training.motion import motion, still
from ..vexpress.training.mouth import NEUTRAL, Mouth
from ..vexpress.training.placing import head_of, in_picture

SIZE = 512
PERSON, DRIVER, FRIEND = 3, 34, 27
TOWARDS = 0.12  # radians that two people turn to each other


def portrait() -> Drawn:
    return draw(identity(PERSON), still(shut(1)), SIZE)


def two_people() -> Tensor:
    """The person of the portrait and a friend, who look to each other a little: (3, H, 2*H)"""
    wall = identity(PERSON).wall
    turned = still(shut(1))._replace(yaw=torch.tensor([TOWARDS]))
    left, right = (
        draw(identity(who)._replace(wall=wall), turned, SIZE).images[0] for who in (PERSON, FRIEND)
    )
    return torch.cat([left, right.flip(-1)], dim=2)  # mirrored, the wall goes on without an edge


def portrait_points() -> Tensor:
    """Left eye, right eye and nose in the portrait's pixels, (3, 2), without drawing it."""
    person = Identity(*(part.double()[..., None, None] for part in identity(PERSON)))
    head = head_of(still(shut(1)), SIZE)
    points = torch.stack([in_picture(head, at.x, at.y)[0] for at in landmarks_of(person, head)[:3]])
    return (points * 16).round().float() / 16  # short numbers in files


def driver(frames: int, fps: float, size: int) -> Drawn:
    """Somebody else, who looks around without a word."""
    return draw(identity(DRIVER), motion(DRIVER, shut(frames), fps), size)


def shut(frames: int) -> Mouth:
    opening = torch.zeros(frames, dtype=torch.float64)
    return Mouth(opening, torch.full_like(opening, NEUTRAL))
