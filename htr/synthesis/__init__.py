"""Invented writers: handwriting that belongs to nobody, for first steps, demonstrations and tests.

style, text, scripts   who writes, and what: Latin texts, and words of other scripts
letters, strokes       letters as strokes of a pen: single-line alphabets, or outlines of fonts
ink                    strokes as a picture of ink on paper
writing                a seed in, a lines dataset out
"""

from htr.synthesis.ink import draw
from htr.synthesis.style import POPULATIONS, Ranges, Style
from htr.synthesis.text import invent_text
from htr.synthesis.writing import SHARES, write_dataset

__all__ = ["POPULATIONS", "SHARES", "Ranges", "Style", "draw", "invent_text", "write_dataset"]
