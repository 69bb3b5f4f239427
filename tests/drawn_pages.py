"""Pages of drawn text whose lines are known: what finding lines is tested on."""

import io
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from htr.image import Grey
from htr.layout.geometry import Points

TEXT = "one brown fox jumps over many lazy dogs and goes home again by night while all others sleep on"


def sentence(number: int, words: int = 8) -> str:
    """Return words that differ from line to line."""
    some = TEXT.split()
    return " ".join(some[(5 * number + n) % len(some)] for n in range(words))


@dataclass
class DrawnPage:
    """A page to draw on."""

    width: int = 900
    height: int = 1200
    size: int = 34
    """Of the letters, in pixels."""
    boxes: list[Points] = field(default_factory=list)
    """Outline of each line, in the order they were written."""
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.image = Image.new("L", (self.width, self.height), 228)
        self.draw = ImageDraw.Draw(self.image)

    def write(self, text: str, x: int, y: int) -> None:
        """Write one line; (x, y) is its top left corner."""
        self.draw.text((x, y), text, fill=40, font_size=self.size, stroke_width=1)
        left, top, right, bottom = self.draw.textbbox((x, y), text, font_size=self.size, stroke_width=1)
        self.boxes.append(((left, top), (right, top), (right, bottom), (left, bottom)))
        self.texts.append(text)

    def column(
        self, lines: int, x: int, *, top: int = 120, pitch: int = 80, words: int = 8, first: int = 0
    ) -> None:
        """Write several lines below each other."""
        for n in range(lines):
            self.write(sentence(first + n, words), x, top + n * pitch)

    def grey(self, *, noise: int = 4) -> Grey:
        """Return the page with slightly noisy paper."""
        rng = np.random.default_rng(3)
        values = np.asarray(self.image, np.int16)
        return np.clip(values + rng.integers(-noise, noise + 1, values.shape), 0, 255).astype(np.uint8)

    def turned(self, degrees: float) -> tuple[Grey, list[Points]]:
        """Return the page turned so that lines run downhill to the right, and the outlines there."""
        grey = np.asarray(Image.fromarray(self.grey()).rotate(-degrees, Image.Resampling.BILINEAR, fillcolor=228))
        angle = math.radians(degrees)
        middle = np.array([self.width / 2, self.height / 2])
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        return grey, [tuple(map(tuple, (np.array(box) - middle) @ turn.T + middle)) for box in self.boxes]

    def save(self, path: Path) -> Path:
        """Write the page as PNG."""
        Image.fromarray(self.grey()).save(path)
        return path

    def png(self) -> bytes:
        """Return the page as PNG."""
        out = io.BytesIO()
        Image.fromarray(self.grey()).save(out, "PNG")
        return out.getvalue()
