"""A ruler for drawn faces: a small network that reads mouth, V-Kps and person off a picture of one."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .identity import Identity

COLOURS = ("skin", "hair", "cloth", "wall")
LENGTHS = ("hair_long", "hair_volume", "hairline", "glasses", "eye_apart", "chin", "jaw_width", "lip_thick")
WIDTHS = (16, 32, 64, 96, 128)


class Truth(NamedTuple):
    """
    opening, width: (B,) of the mouth
    kps:            (B, 3, 2) in pixels
    person:         (B, 20) what tells people apart, each of deviation 1
    """

    opening: Tensor
    width: Tensor
    kps: Tensor
    person: Tensor


def person_of(people: Identity) -> Tensor:
    """Colours and proportions that can be seen in every picture: (B, 20)"""
    colours = torch.cat([getattr(people, name) for name in COLOURS], dim=1) / 0.25
    spread = torch.tensor([0.6, 0.05, 0.08, 0.4, 0.02, 0.05, 0.05, 0.01])
    lengths = torch.stack([getattr(people, name) for name in LENGTHS], dim=1) / spread
    return torch.cat([colours, lengths], dim=1)


class Ruler(nn.Module):
    """Reads square pictures of one size."""

    def __init__(self, size: int):
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.BatchNorm2d(wide), nn.ReLU()]
        self.size = size
        self.see = nn.Sequential(*layers, nn.Flatten())
        outputs = 2 + 6 + 3 * len(COLOURS) + len(LENGTHS)
        seen = WIDTHS[-1] * (size // 2 ** len(WIDTHS)) ** 2
        self.say = nn.Sequential(nn.Linear(seen, 256), nn.ReLU(), nn.Linear(256, outputs))

    def forward(self, images: Tensor) -> Truth:
        """images: (B, 3, H, W) 0..1"""
        said = self.say(self.see(images - 0.5)).float()
        kps = said[:, 2:8].view(-1, 3, 2) * 0.1 + 0.5
        return Truth(said[:, 0] * 0.3 + 0.3, said[:, 1] * 0.3 + 0.5, kps * self.size, said[:, 8:])


def calibrate(
    ruler: Ruler,
    batches: Iterator[tuple[Tensor, Truth]],
    steps: int,
    learning_rate: float = 2e-3,
    tell: Callable[[str], None] = print,
) -> None:
    """Learn to read from pictures whose truth is known. batches: endless"""
    optimizer = torch.optim.AdamW(ruler.parameters(), lr=learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, steps, pct_start=0.1)
    ruler.train()
    for step, (images, truth) in zip(range(steps), batches, strict=False):
        said = ruler(images)
        off = {
            "opening": 4 * F.smooth_l1_loss(said.opening, truth.opening, beta=0.05),
            "width": F.smooth_l1_loss(said.width, truth.width, beta=0.05),
            "kps": 20 * F.smooth_l1_loss(said.kps / ruler.size, truth.kps / ruler.size, beta=0.01),
            "person": 0.2 * F.smooth_l1_loss(said.person, truth.person),
        }
        optimizer.zero_grad()
        sum(off.values()).backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            tell(f"ruler: step {step + 1} of {steps}, " + ", ".join(f"{k} {v:.4f}" for k, v in off.items()))
    ruler.eval()


@torch.no_grad()
def read(ruler: Ruler, images: Tensor, at_once: int = 64) -> Truth:
    """images: (B, 3, H, W) 0..1"""
    parts = [ruler(some) for some in images.split(at_once)]
    return Truth(*(torch.cat(part) for part in zip(*parts, strict=True)))


class Score(NamedTuple):
    """What is said of a film of each of several people."""

    mouth: float  # correlation of opening and truth, all films together
    mouth_alone: float  # the mean of the films' own
    wrong_voice: float  # with what another voice would have asked for
    amplitude: float  # standard deviation of the opening over the truth's
    change: float  # mean difference from frame to frame over the truth's
    kps: float  # mean distance in pixels
    found: float  # share of films whose person is the nearest of all portraits


def score(said: list[Truth], opening: list[Tensor], kps: list[Tensor], portraits: Tensor) -> Score:
    """
    said:      of each film
    opening:   (F,) asked for in each
    kps:       (F, 3, 2) asked for in each
    portraits: (films, 20) persons as read off their portraits
    """
    asked, shown = torch.cat(opening), torch.cat([film.opening for film in said])
    shifted = torch.cat(
        [_as_long(other, track) for other, track in zip(opening[1:] + opening[:1], opening, strict=True)]
    )
    near = torch.cdist(torch.stack([film.person.mean(0) for film in said]), portraits).argmin(1)
    return Score(
        mouth=_correlation(shown, asked),
        mouth_alone=sum(_correlation(f.opening, o) for f, o in zip(said, opening, strict=True)) / len(said),
        wrong_voice=_correlation(shown, shifted),
        amplitude=(shown.std() / asked.std()).item(),
        change=(_change([f.opening for f in said]) / _change(opening)),
        kps=torch.cat([(f.kps - k).norm(dim=-1) for f, k in zip(said, kps, strict=True)]).mean().item(),
        found=(near == torch.arange(len(said))).float().mean().item(),
    )


def _as_long(track: Tensor, other: Tensor) -> Tensor:
    return track.repeat(-(-len(other) // len(track)))[: len(other)]


def _correlation(a: Tensor, b: Tensor) -> float:
    return torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1].item()


def _change(tracks: list[Tensor]) -> float:
    return torch.cat([track.diff().abs() for track in tracks]).mean().item()
