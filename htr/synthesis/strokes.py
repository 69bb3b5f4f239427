"""Single-stroke letters with marks on them: a plain letter in, the letter with its accents out.

Points are (x, y) in heights of a capital letter, y downwards, 0 on the baseline. The pen's fonts know plain
letters only; an accent, a tone mark, a horn or a bar is drawn here as a hand would, above, below or on the letter.
"""

import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Points = tuple[tuple[float, float], ...]


class Glyph(NamedTuple):
    """A letter's skeleton: all its strokes in one array."""

    points: Floats
    begins: npt.NDArray[np.bool_]
    """True where a new stroke begins."""
    advance: float


_DOT: Points = ((-0.02, -0.02), (0.02, 0.02))
_ABOVE: dict[str, tuple[Points, ...]] = {  # x from the letter's middle, y from a little above it
    "\u0300": (((0.08, 0.0), (-0.12, -0.2)),),
    "\u0301": (((-0.08, 0.0), (0.12, -0.2)),),
    "\u0302": (((-0.17, 0.0), (0.0, -0.17), (0.17, 0.0)),),
    "\u0303": (((-0.2, -0.03), (-0.1, -0.14), (0.08, 0.0), (0.2, -0.12)),),
    "\u0306": (((-0.17, -0.16), (-0.1, 0.0), (0.1, 0.0), (0.17, -0.16)),),
    "\u0308": (((-0.15, -0.08), (-0.11, -0.04)), ((0.11, -0.08), (0.15, -0.04))),
    "\u0309": (((-0.09, -0.2), (0.02, -0.28), (0.12, -0.18), (0.0, -0.1), (0.0, 0.0)),),
}
_BELOW, _HORN = "\u0323", "\u031b"
_BARRED = {"đ": "d", "Đ": "D"}
_FINAL_SIGMA: Points = (
    (0.5, -0.6),
    (0.3, -0.68),
    (0.08, -0.5),
    (0.1, -0.12),
    (0.42, 0.0),
    (0.45, 0.16),
    (0.25, 0.2),
)
_DOTTED = "ij"
_RANGES = ((0xC0, 0x24F), (0x386, 0x3CE), (0x1EA0, 0x1EF9))
"""Code points that marked letters are looked for among: Latin, Greek, Vietnamese."""


def glyph_of(strokes: list[Floats], advance: float) -> Glyph:
    """Join strokes to a letter, their corners rounded."""
    curves = [rounded(np.asarray(stroke, dtype=np.float64)) for stroke in strokes]
    begins = np.concatenate([np.arange(len(curve)) == 0 for curve in curves])
    return Glyph(np.concatenate(curves), begins, advance)


def with_marks(letters: Mapping[str, Glyph]) -> dict[str, Glyph]:
    """Return the letters and every letter that can be made of one of them and marks."""
    known = dict(letters)
    if "σ" in letters:
        known["ς"] = glyph_of([np.array(_FINAL_SIGMA)], 0.62)
    for character, plain in _BARRED.items():
        if plain in letters:
            known[character] = _barred(letters[plain], stem_on_the_right=plain == "d")
    for code in (code for first, last in _RANGES for code in range(first, last + 1)):
        base, *marks = list(unicodedata.normalize("NFD", chr(code)))
        if marks and base in known and all(mark in _ABOVE or mark in {_BELOW, _HORN} for mark in marks):
            known[chr(code)] = _marked(base, known[base], marks)
    return known


def _marked(base: str, letter: Glyph, marks: list[str]) -> Glyph:
    plain = np.split(letter.points, np.flatnonzero(letter.begins)[1:])
    if base in _DOTTED and any(mark in _ABOVE for mark in marks):
        plain = [stroke for stroke in plain if stroke[:, 1].max() > -0.75]  # an accent takes the dot's place
    body = np.concatenate(plain)
    left, right = body[:, 0].min(), body[:, 0].max()
    middle, top = (left + right) / 2, body[:, 1].min() - 0.1
    added: list[Floats] = []
    for mark in marks:
        if mark == _BELOW:
            added.append(np.array(_DOT) + np.array((middle, max(0.0, body[:, 1].max()) + 0.14)))
        elif mark == _HORN:
            corner = np.array((right, body[:, 1].min()))
            added.append(np.array(((-0.08, 0.1), (0.08, 0.02), (0.1, -0.12))) + corner)
        else:
            shapes = [np.array(shape) + np.array((middle, top)) for shape in _ABOVE[mark]]
            added += shapes
            top = min(shape[:, 1].min() for shape in shapes) - 0.07
    extra = glyph_of(added, letter.advance)
    begins = np.concatenate([np.arange(len(stroke)) == 0 for stroke in plain])
    return Glyph(np.concatenate([body, extra.points]), np.concatenate([begins, extra.begins]), letter.advance)


def _barred(letter: Glyph, *, stem_on_the_right: bool) -> Glyph:
    x, y = (letter.points[:, 0].max(), -0.82) if stem_on_the_right else (letter.points[:, 0].min(), -0.5)
    bar = np.array(((x - 0.17, y), (x + 0.17, y)))
    return Glyph(np.concatenate([letter.points, bar]), np.append(letter.begins, (True, False)), letter.advance)


def rounded(stroke: Floats) -> Floats:
    """Cut the corners twice (Chaikin 1974): a hand does not turn on the spot. The ends stay."""
    for _ in range(2 if len(stroke) > 2 else 0):
        near, far = stroke[:-1] * 0.75 + stroke[1:] * 0.25, stroke[:-1] * 0.25 + stroke[1:] * 0.75
        middle = np.stack([near, far], axis=1).reshape(-1, 2)
        stroke = np.concatenate([stroke[:1], middle[1:-1], stroke[-1:]])
    return stroke
