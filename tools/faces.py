"""A sheet of the drawn people that the tiny models learn from: someone else in each row, speaking and moving."""

import argparse

import torch
from PIL import Image

from ..vexpress.training.speech import babble
from ..vexpress.training.synthetic import clip

FPS, PICTURES, SECONDS = 30.0, 8, 4.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py faces", description=__doc__)
    parser.add_argument("out", metavar="OUT.png")
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the first one")
    parser.add_argument("--size", type=int, default=128, help="of a picture, in pixels")
    options = parser.parse_args(arguments)
    step = int(FPS * SECONDS) // PICTURES
    rows = []
    for seed in range(options.seed, options.seed + options.people):
        images = clip(seed, babble(seed, SECONDS), FPS, options.size).images[::step][:PICTURES]
        rows.append(torch.cat(list(images), dim=2))  # (8, 3, H, W) -> (3, H, 8*W)
    sheet = (torch.cat(rows, dim=1).movedim(0, -1) * 255).round().byte()
    Image.fromarray(sheet.numpy()).save(options.out)
    return 0
