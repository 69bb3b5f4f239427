"""An invented writer's style: a few numbers that fix how a hand looks, and populations to draw them from.

Lengths named ``_px`` are pixels of the finished line; the others are shares of the height of a capital letter,
so that a style keeps its look at any size.
"""

from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Self

import numpy as np

Span = tuple[float, float]
"""Lowest and highest value that a writer of a population can have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranges:
    """A population of writers: every writer's parameters are drawn evenly from these spans."""

    fonts: tuple[str, ...]
    """Names of Hershey fonts, or paths of .ttf and .otf files."""
    cap_height_px: Span = (22.0, 29.0)
    width: Span = (0.66, 0.98)
    slant: Span = (-0.05, 0.38)
    pen_px: Span = (1.3, 2.2)
    pressure: Span = (0.0, 0.35)
    habit: Span = (0.7, 1.3)
    jitter: Span = (0.3, 1.0)
    wander: Span = (0.01, 0.05)
    letter_spacing: Span = (-0.06, 0.1)
    word_spacing: Span = (0.45, 0.8)
    ink_level: Span = (10.0, 70.0)
    paper_level: Span = (228.0, 252.0)
    paper_noise: Span = (0.5, 3.0)
    softness_px: Span = (0.3, 0.6)

    def __post_init__(self) -> None:
        if not self.fonts:
            raise ValueError("Ranges.fonts must name at least one font")
        for name in _spans(self):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"Ranges.{name} must be (low, high), got {(low, high)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """One invented writer; the same style draws the same letters in the same way."""

    font: str
    """The skeleton of the letters: a Hershey font's name, or the path of a .ttf or .otf file."""
    habit_seed: int
    """Fixes this writer's own deformation of every letter."""
    cap_height_px: float
    width: float
    """Horizontal stretch of the letters; 1 leaves the font as it is."""
    slant: float
    """Sideways shift per height; above 0 leans right. Script fonts lean by about 0.4 of their own."""
    pen_px: float
    """Width of the pen."""
    pressure: float
    """How much wider a stroke down is than a stroke up, from 0 (even) to 1."""
    habit: float
    """Strength of the writer's own deformation of the letters; 1 is usual, 0 leaves the font as it is."""
    jitter: float
    """Strength of what differs from one drawing of a letter to the next; 1 is a careless hand."""
    wander: float
    """How far the baseline strays, in heights of a capital."""
    letter_spacing: float
    """Added between letters, in heights of a capital."""
    word_spacing: float
    """Gap between words, in heights of a capital."""
    ink_level: float
    """Grey of the ink, 0 black to 255 white."""
    paper_level: float
    """Grey of the paper, 0 black to 255 white."""
    paper_noise: float
    """Standard deviation of the paper's grain, in grey levels."""
    softness_px: float
    """Blur of the scan (standard deviation)."""

    def __post_init__(self) -> None:
        for name in ("cap_height_px", "width", "pen_px"):
            if getattr(self, name) <= 0:
                raise ValueError(f"Style.{name} must be above 0, got {getattr(self, name)!r}")
        if not 0 <= self.ink_level < self.paper_level <= 255:
            raise ValueError(
                "Style wants 0 <= ink_level < paper_level <= 255, "
                f"got ink {self.ink_level!r} and paper {self.paper_level!r}"
            )

    @classmethod
    def invent(cls, rng: np.random.Generator | int, *, like: Ranges) -> Self:
        """Invent a writer.

        Args:
            rng: where the choices come from; an integer is a seed, and gives the same writer every time.
            like: the population that the writer belongs to.
        """
        rng = np.random.default_rng(rng)
        font = like.fonts[int(rng.integers(len(like.fonts)))]
        habit_seed = int(rng.integers(2**31))
        values = {name: float(rng.uniform(*getattr(like, name))) for name in _spans(like)}
        return cls(font=font, habit_seed=habit_seed, **values)


def _spans(ranges: Ranges) -> list[str]:
    return [field.name for field in fields(ranges) if field.name != "fonts"]


POPULATIONS = MappingProxyType(
    {
        "plain": Ranges(fonts=("futural", "rowmans", "timesi")),
        "drifted": Ranges(
            fonts=("scripts", "scriptc", "cursive"),
            cap_height_px=(24.0, 28.0),
            width=(0.85, 1.1),
            slant=(-0.75, -0.5),
            pen_px=(2.3, 3.0),
            pressure=(0.2, 0.5),
            letter_spacing=(-0.05, 0.0),
            word_spacing=(0.38, 0.55),
            ink_level=(85.0, 120.0),
            paper_level=(175.0, 205.0),
            paper_noise=(4.0, 7.0),
            softness_px=(0.6, 0.9),
        ),
    }
)
"""Named populations: ``plain`` prints upright or leaning right with a thin dark pen on white; ``drifted`` joins
its letters, leans left and presses a broad, faint pen on dark paper."""
