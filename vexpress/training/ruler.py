"""A ruler for drawn faces: a small network that reads mouth and V-Kps off a picture of one."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .likeness import Likeness

WIDTHS = (16, 32, 64, 96, 128)
LEARNING_RATE = 2e-3
AT_ONCE = 64  # pictures


class Truth(NamedTuple):
    """
    opening, width: (B,) of the mouth
    kps:            (B, 3, 2) in pixels
    """

    opening: Tensor
    width: Tensor
    kps: Tensor


class Ruler(nn.Module):
    """Reads square pictures of one size."""

    def __init__(self, size: int):
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.BatchNorm2d(wide), nn.ReLU()]
        self.size = size
        self.see = nn.Sequential(*layers, nn.Flatten())
        seen = WIDTHS[-1] * (size // 2 ** len(WIDTHS)) ** 2
        self.say = nn.Sequential(nn.Linear(seen, 256), nn.ReLU(), nn.Linear(256, 2 + 6))

    def forward(self, images: Tensor) -> Truth:
        """images: (B, 3, H, W) 0..1"""
        said = self.say(self.see(images - 0.5)).float()
        kps = said[:, 2:].view(-1, 3, 2) * 0.1 + 0.5
        return Truth(said[:, 0] * 0.3 + 0.3, said[:, 1] * 0.3 + 0.5, kps * self.size)


def calibrate(
    ruler: Ruler,
    batches: Iterator[tuple[Tensor, Truth]],
    steps: int,
    tell: Callable[[str], None] = print,
) -> None:
    """Learn to read from pictures whose truth is known. batches: endless"""
    optimizer = torch.optim.AdamW(ruler.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps, pct_start=0.1)
    ruler.train()
    for step, (images, truth) in zip(range(steps), batches, strict=False):
        said = ruler(images)
        off = {
            "opening": 4 * F.smooth_l1_loss(said.opening, truth.opening, beta=0.05),
            "width": F.smooth_l1_loss(said.width, truth.width, beta=0.05),
            "kps": 20 * F.smooth_l1_loss(said.kps / ruler.size, truth.kps / ruler.size, beta=0.01),
        }
        optimizer.zero_grad()
        sum(off.values()).backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            tell(f"ruler: step {step + 1} of {steps}, " + ", ".join(f"{k} {v:.4f}" for k, v in off.items()))
    ruler.eval()


@torch.no_grad()
def read(ruler: Ruler, images: Tensor) -> Truth:
    """images: (B, 3, H, W) 0..1"""
    parts = [ruler(some) for some in images.split(AT_ONCE)]
    return Truth(*(torch.cat(part) for part in zip(*parts, strict=True)))


class Film(NamedTuple):
    """
    images:   (F, 3, H, H) 0..1
    portrait: (3, H, H) of whom it shall show
    opening:  (F,) of the mouth, as asked for
    kps:      (F, 3, 2) asked for, in pixels
    """

    images: Tensor
    portrait: Tensor
    opening: Tensor
    kps: Tensor


class Score(NamedTuple):
    """What is read off films, each of another person."""

    mouth: float  # correlation of opening and truth, all films together
    mouth_alone: float  # the mean of the films' own
    wrong_voice: float  # with what another voice would have asked for
    amplitude: float  # standard deviation of the opening over the truth's
    change: float  # mean difference from frame to frame over the truth's
    kps: float  # mean distance in pixels
    found: float  # share of films whose person is the nearest of all portraits


def score(films: list[Film], ruler: Ruler, likeness: Likeness) -> Score:
    said = [read(ruler, film.images) for film in films]
    opening = [film.opening for film in films]
    result = score_mouths([film.opening for film in said], opening)
    off = [(of.kps - film.kps).norm(dim=-1) for of, film in zip(said, films, strict=True)]
    return result._replace(kps=torch.cat(off).mean().item(), found=_found(films, said, ruler, likeness))


def score_mouths(shown: list[Tensor], asked: list[Tensor]) -> Score:
    """Both (F,) of each film; all but V-Kps and person."""
    shifted = [_as_long(other, track) for other, track in zip(asked[1:] + asked[:1], asked, strict=True)]
    alone = [_correlation(a, b) for a, b in zip(shown, asked, strict=True)]
    return Score(
        mouth=_correlation(torch.cat(shown), torch.cat(asked)),
        mouth_alone=sum(alone) / len(alone),
        wrong_voice=_correlation(torch.cat(shown), torch.cat(shifted)),
        amplitude=(torch.cat(shown).std() / torch.cat(asked).std()).item(),
        change=_change(shown) / _change(asked),
        kps=float("nan"),
        found=float("nan"),
    )


def _found(films: list[Film], said: list[Truth], ruler: Ruler, likeness: Likeness) -> float:
    portraits = torch.stack([film.portrait for film in films])
    people = likeness.of(portraits, read(ruler, portraits).kps)
    shown = [likeness.of(film.images, of.kps).mean(0) for film, of in zip(films, said, strict=True)]
    near = torch.cdist(torch.stack(shown), people).argmin(1)
    return (near == torch.arange(len(films))).float().mean().item()


def _as_long(track: Tensor, other: Tensor) -> Tensor:
    return track.repeat(-(-len(other) // len(track)))[: len(other)]


def _correlation(a: Tensor, b: Tensor) -> float:
    return torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1].item()


def _change(tracks: list[Tensor]) -> float:
    return torch.cat([track.diff().abs() for track in tracks]).mean().item()
