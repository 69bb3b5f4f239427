"""Draw a page of invented handwriting on ruled paper, for figures and timings that need no one's pages.

    python benchmarks/invented_page.py page.png [--lines 25] [--seed 1] [--degrees 1.5]

2,480 x 3,508 pixels, A4 at 300 dots an inch: a margin rule, ruled lines, a shadow from one side, turned a little.
Beside it page.page.xml with the box around each line's ink and its text, as benchmarks/pages.py takes it.
"""

import argparse
import math
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from htr.image import Grey
from htr.layout.geometry import PageLine, transform
from htr.levels import measure_levels
from htr.pages.reading import LineReading, PageReading
from htr.pages.to_xml import page_xml
from htr.synthesis import draw
from htr.synthesis.style import POPULATIONS, Style
from htr.synthesis.text import invent_text

WIDTH, HEIGHT = 2480, 3508
LEFT, TOP, FOOT = 380, 330, 180
PAPER, RULE, INK = 226.0, 34.0, 20.0
LINE_SHARE = 0.95
"""Height of a drawn line, in distances between two rules."""

Darkness = npt.NDArray[np.float32]


def main() -> None:
    """Write the page and what stands on it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--lines", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--degrees", type=float, default=1.5, help="how far lines run downhill to the right")
    args = parser.parse_args()
    grey, lines = invented_page(args.lines, seed=args.seed, degrees=args.degrees)
    Image.fromarray(grey).save(args.out, dpi=(300, 300))
    page = PageReading(width=WIDTH, height=HEIGHT, skew_degrees=args.degrees, lines=tuple(lines))
    marks = page_xml(page, file_name=args.out.name, created=datetime.now(UTC))
    args.out.with_suffix(".page.xml").write_text(marks, encoding="utf-8")


def invented_page(num_lines: int, *, seed: int, degrees: float) -> tuple[Grey, list[LineReading]]:
    """Return a page and its lines; the same arguments give the same pixels."""
    rng = np.random.default_rng(seed)
    style = Style.invent(rng, like=POPULATIONS["plain"])
    darkness = np.zeros((HEIGHT, WIDTH), np.float32)
    turn = np.asarray(cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), -degrees, 1.0))
    pitch = (HEIGHT - TOP - FOOT) / num_lines
    lines: list[LineReading] = []
    for row in range(num_lines):
        strip, text = _strip(style, rng, height=math.floor(LINE_SHARE * pitch))
        top = round(TOP + row * pitch)
        darkness[top : top + strip.shape[0]] = np.maximum(darkness[top : top + strip.shape[0]], strip)
        rows, columns = np.nonzero(strip > INK)
        low, high = (columns.min(), top + rows.min()), (columns.max(), top + rows.max())
        corners = transform([low, (high[0], low[1]), high, (low[0], high[1])], turn)
        a, b, c, d = ((float(x), float(y)) for x, y in corners)
        line = PageLine(polygon=(a, b, c, d), baseline=(d, c))
        lines.append(LineReading(line=line, text=text, confidence=1.0, words=()))
        foot = round(TOP + (row + 0.8) * pitch)
        darkness[foot : foot + 3] = np.maximum(darkness[foot : foot + 3], RULE)
    darkness[:, LEFT - 60 : LEFT - 57] = np.maximum(darkness[:, LEFT - 60 : LEFT - 57], RULE)
    turned = np.asarray(cv2.warpAffine(darkness, turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR))
    light = np.linspace(0.8, 1.0, WIDTH, dtype=np.float32)
    noise = rng.normal(0, 2.5, darkness.shape).astype(np.float32)
    return np.clip((PAPER - turned) * light + noise, 0, 255).astype(np.uint8), lines


def _strip(style: Style, rng: np.random.Generator, *, height: int) -> tuple[Darkness, str]:
    """Return one line over the page's whole width, filled with invented texts as far as they fit, and its text."""
    strip = np.zeros((height, WIDTH), np.float32)
    left = LEFT + int(rng.integers(0, 40))
    texts: list[str] = []
    while True:
        text, _ = invent_text(rng)
        grey = draw(text, style, rng)
        paper = measure_levels(grey).paper
        ink = np.clip(paper - grey.astype(np.float32), 0, None)
        size = (round(ink.shape[1] * height / ink.shape[0]), height)
        scaled = np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.float32)
        right = left + scaled.shape[1]
        if texts and right > WIDTH - 100:
            return strip, " ".join(texts)
        fits = min(right, WIDTH)
        strip[:, left:fits] = np.maximum(strip[:, left:fits], scaled[:, : fits - left])
        texts.append(text)
        left = right + height // 4


if __name__ == "__main__":
    main()
