"""A measured line -> what is wrong with its label; many of them -> characters that hardly any other label holds.

Functions of one line return what to say of it, and "" where there is nothing to be said.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from htr.audit.measures import Measured

MAX_CHARACTERS = 200
NOT_LABELS = ("nan", "none", "null", "empty", "blank", "unreadable", "illegible", "n/a", "<na>", "???")
"""What tables hold in place of a transcription, case-folded."""
CONTROLS = "[\x00-\x1f\x7f-\x9f]"
INVISIBLE = "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffd]"
"""Soft hyphen, zero-width space, direction marks, byte-order mark, and the mark of a broken encoding."""
FEW = 3
"""A character in fewer lines is an outlier, where there are lines enough for it to have had its chance."""
_ENOUGH_LINES = 1000
_LOOK_ALIKES = frozenset({"LATIN", "CYRILLIC", "GREEK"})
"""Scripts with letters that look the same: a word of two of them was typed on the wrong keyboard."""
_UNSEEN = re.compile(f"{CONTROLS}|{INVISIBLE}")
_WORD = re.compile(r"[^\W\d_]+")


def placeholder(line: Measured) -> str:
    """Say of a line whose text is a word that stands for no text which it is."""
    return f"the text is {line.text!r}" if not line.text or line.text.casefold() in NOT_LABELS else ""


def too_long(line: Measured) -> str:
    """Say of a line whose text is longer than any line of writing how long it is."""
    return f"{len(line.text)} characters" if len(line.text) > MAX_CHARACTERS else ""


def unseen(line: Measured) -> str:
    """Name what a line's text holds that nobody can see on paper."""
    found = _UNSEEN.findall(line.text)
    return ", ".join(f"U+{ord(character):04X}" for character in dict.fromkeys(found))


def mixed_scripts(line: Measured) -> str:
    """Name the first word of a line that has letters from two scripts that look alike."""
    for word in () if line.text.isascii() else _WORD.findall(line.text):
        scripts = {_script(letter) for letter in word} & _LOOK_ALIKES
        if len(scripts) > 1:
            return f"the word {word!r} mixes {' and '.join(sorted(scripts)).title()}"
    return ""


class RareCharacters:
    """Characters that few lines hold, found as lines pass by; of the others nothing is kept."""

    def __init__(self) -> None:
        self._num_lines = 0
        self._holders: dict[str, list[Measured] | None] = {}

    def add(self, line: Measured) -> None:
        """Look at a line."""
        self._num_lines += 1
        for character in set(line.text):
            holders = self._holders.setdefault(character, [])
            if holders is not None:
                holders.append(replace(line, picture=None))
                if len(holders) >= FEW:
                    self._holders[character] = None

    def found(self) -> Iterator[tuple[list[Measured], str]]:
        """Yield the characters that fewer than FEW lines hold, each with these lines; none of small datasets."""
        if self._num_lines < _ENOUGH_LINES:
            return
        for character, group in sorted(self._holders.items()):
            if group:
                name = unicodedata.name(character, f"U+{ord(character):04X}").lower()
                yield group, f"{character!r} ({name}) is in {len(group)} of {self._num_lines} lines"


@cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]
