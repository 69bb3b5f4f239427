"""The letters that invented writers start from: a font and a character in, strokes or an outline out.

Points are (x, y) in heights of a capital letter, y downwards, 0 on the baseline.
"""

from functools import lru_cache

import numpy as np
from HersheyFonts import HersheyFonts
from PIL import ImageFont

from htr.direction import is_right_to_left, visual_order
from htr.synthesis.strokes import Glyph, glyph_of, with_marks

GREEK_FONTS = ("greeks", "greekc")
"""Hershey fonts whose ASCII letters stand for Greek ones, in the order of the Greek alphabet."""
_LATIN, _GREEK = "abcdefghijklmnopqrstuvwx", "αβγδεζηθικλμνξοπρστυφχψω"
_AS_GREEK = str.maketrans(_LATIN + _LATIN.upper(), _GREEK + _GREEK.upper())
_BASE_LINE, _CAP_HEIGHT = 9, 21  # Hershey units: where all its roman fonts stand, and how tall capitals are


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
    """Return the printable letters of a Hershey font, and those that marks make of them."""
    font = _hershey_reader()
    font.load_default_font(name)
    letters = {
        character.translate(_AS_GREEK) if name in GREEK_FONTS else character: _glyph(
            glyph.strokes, glyph.left_offset, glyph.char_width
        )
        for character, glyph in font.all_glyphs.items()
        if glyph.strokes and " " < character < "\x7f"
    }
    return with_marks(letters)


def _glyph(strokes: list[list[tuple[int, int]]], left: int, advance: int) -> Glyph:
    drawn = glyph_of([np.array(stroke) for stroke in strokes], advance / _CAP_HEIGHT)
    return drawn._replace(points=(drawn.points - (left, _BASE_LINE)) / _CAP_HEIGHT)


def shaped(text: str) -> str:
    """Return the glyphs of a text, from left to right: Arabic letters joined, right-to-left words turned round."""
    if not any(map(is_right_to_left, text)):
        return text
    from arabic_reshaper import ArabicReshaper

    joined = ArabicReshaper({"delete_harakat": False}).reshape(text)
    return visual_order(joined).text


@lru_cache(maxsize=64)
def outline_face(path: str, size: int, *, plain: bool = False) -> ImageFont.FreeTypeFont:
    """Open a .ttf or .otf font at a size; a plain one sets glyph after glyph and turns nothing round by itself."""
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC if plain else None)
