"""The letters that invented writers start from: a font and a character in, strokes or an outline out.

Points are (x, y) in heights of a capital letter, y downwards, 0 on the baseline.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from HersheyFonts import HersheyFonts
from PIL import ImageFont

Floats = npt.NDArray[np.float64]

_BASE_LINE, _CAP_HEIGHT = 9, 21  # Hershey units: where all its roman fonts stand, and how tall capitals are


class Glyph(NamedTuple):
    """A letter's skeleton: all its strokes in one array."""

    points: Floats
    begins: npt.NDArray[np.bool_]
    """True where a new stroke begins."""
    advance: float


def is_font_file(font: str) -> bool:
    """Tell a path of an outline font from the name of a Hershey font."""
    return font.lower().endswith((".ttf", ".otf"))


@lru_cache(maxsize=4096)
def has_glyph(font: str, character: str) -> bool:
    """Tell whether a font can draw a character."""
    if character == " ":
        return True
    if not is_font_file(font):
        return character in hershey_letters(font)
    # FreeType draws one and the same box for whatever is missing; U+FFFF is never assigned.
    face = outline_face(font, 32)
    return bytes(face.getmask(character)) not in (bytes(face.getmask("\uffff")), b"")


@lru_cache(maxsize=1)
def _hershey_reader() -> HersheyFonts:
    return HersheyFonts()  # unpacks its archive when it is first asked: kept, because that takes a while


@lru_cache(maxsize=32)
def hershey_letters(name: str) -> dict[str, Glyph]:
    """Return the printable ASCII letters of a Hershey font."""
    font = _hershey_reader()
    font.load_default_font(name)
    return {
        character: _glyph(glyph.strokes, glyph.left_offset, glyph.char_width)
        for character, glyph in font.all_glyphs.items()
        if glyph.strokes and " " < character < "\x7f"
    }


def _glyph(strokes: list[list[tuple[int, int]]], left: int, advance: int) -> Glyph:
    curves = [_rounded(np.array(stroke, dtype=np.float64)) for stroke in strokes]
    begins = np.concatenate([np.arange(len(curve)) == 0 for curve in curves])
    points = (np.concatenate(curves) - (left, _BASE_LINE)) / _CAP_HEIGHT
    return Glyph(points, begins, advance / _CAP_HEIGHT)


def _rounded(stroke: Floats) -> Floats:
    """Cut the corners twice (Chaikin 1974): a hand does not turn on the spot. The ends stay."""
    for _ in range(2 if len(stroke) > 2 else 0):
        near, far = stroke[:-1] * 0.75 + stroke[1:] * 0.25, stroke[:-1] * 0.25 + stroke[1:] * 0.75
        middle = np.stack([near, far], axis=1).reshape(-1, 2)
        stroke = np.concatenate([stroke[:1], middle[1:-1], stroke[-1:]])
    return stroke


@lru_cache(maxsize=64)
def outline_face(path: str, size: int) -> ImageFont.FreeTypeFont:
    """Open a .ttf or .otf font at a size."""
    return ImageFont.truetype(path, size)
