"""Draw a page of invented handwriting on ruled paper, for figures and timings that need no one's pages.

    python benchmarks/invented_page.py page.png [--lines 25] [--seed 1] [--degrees 1.5]

2,480 x 3,508 pixels, A4 at 300 dots an inch: a margin rule, ruled lines, a shadow from one side, turned a little.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from PIL import Image

from htr.image import Grey, paper_and_ink
from htr.invented_style import POPULATIONS, Style
from htr.invented_text import invent_text
from htr.synthesis import draw

WIDTH, HEIGHT = 2480, 3508
LEFT, TOP, FOOT = 380, 330, 180
PAPER, RULE = 226.0, 34.0
LINE_SHARE = 0.95
"""Height of a drawn line, in distances between two rules."""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--lines", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--degrees", type=float, default=1.5, help="how far lines run downhill to the right")
    args = parser.parse_args()
    Image.fromarray(invented_page(args.lines, seed=args.seed, degrees=args.degrees)).save(args.out, dpi=(300, 300))


def invented_page(num_lines: int, *, seed: int, degrees: float) -> Grey:
    """Return a page; the same arguments give the same pixels."""
    rng = np.random.default_rng(seed)
    style = Style.invent(rng, like=POPULATIONS["plain"])
    darkness = np.zeros((HEIGHT, WIDTH), np.float32)
    pitch = (HEIGHT - TOP - FOOT) / num_lines
    for row in range(num_lines):
        foot = round(TOP + (row + 0.8) * pitch)
        darkness[foot : foot + 3] = np.maximum(darkness[foot : foot + 3], RULE)
        _write(darkness, style, rng, top=round(TOP + row * pitch), height=round(LINE_SHARE * pitch))
    darkness[:, LEFT - 60 : LEFT - 57] = np.maximum(darkness[:, LEFT - 60 : LEFT - 57], RULE)
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), -degrees, 1.0)
    darkness = cv2.warpAffine(darkness, turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    light = np.linspace(0.8, 1.0, WIDTH, dtype=np.float32)
    noise = rng.normal(0, 2.5, darkness.shape).astype(np.float32)
    return np.clip((PAPER - darkness) * light + noise, 0, 255).astype(np.uint8)


def _write(darkness: np.ndarray, style: Style, rng: np.random.Generator, *, top: int, height: int) -> None:
    """Fill one line with invented texts as far as they fit."""
    left = LEFT + int(rng.integers(0, 40))
    while True:
        text, _ = invent_text(rng)
        grey = draw(text, style, rng)
        paper, _ = paper_and_ink(grey)
        ink = np.clip(paper - grey.astype(np.float32), 0, None)
        scaled = cv2.resize(
            ink, (round(ink.shape[1] * height / ink.shape[0]), height), interpolation=cv2.INTER_AREA
        )
        right = left + scaled.shape[1]
        if right > WIDTH - 100:
            return
        place = darkness[top : top + height, left:right]
        np.maximum(place, scaled, out=place)
        left = right + height // 4


if __name__ == "__main__":
    main()
