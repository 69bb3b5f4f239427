"""Measured lines -> labels that cannot be right, or hold characters that hardly any other label holds."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
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


def placeholders(lines: Sequence[Measured]) -> Iterator[tuple[Measured, str]]:
    """Yield the lines whose text is a word that stands for no text."""
    for line in lines:
        if line.text.casefold() in NOT_LABELS or not line.text:
            yield line, f"the text is {line.text!r}"


def too_long(lines: Sequence[Measured]) -> Iterator[tuple[Measured, str]]:
    """Yield the lines whose text is longer than any line of writing."""
    for line in lines:
        if len(line.text) > MAX_CHARACTERS:
            yield line, f"{len(line.text)} characters"


def unseen(lines: Sequence[Measured]) -> Iterator[tuple[Measured, str]]:
    """Yield the lines whose text holds what nobody can see on paper."""
    for line in lines:
        found = _UNSEEN.findall(line.text)
        if found:
            yield line, ", ".join(f"U+{ord(character):04X}" for character in dict.fromkeys(found))


def mixed_scripts(lines: Sequence[Measured]) -> Iterator[tuple[Measured, str]]:
    """Yield the lines with a word of letters from two scripts that look alike."""
    for line in lines:
        if line.text.isascii():
            continue
        for word in _WORD.findall(line.text):
            scripts = {_script(letter) for letter in word} & _LOOK_ALIKES
            if len(scripts) > 1:
                yield line, f"the word {word!r} mixes {' and '.join(sorted(scripts)).title()}"
                break


def rare_characters(lines: Sequence[Measured]) -> Iterator[tuple[list[Measured], str]]:
    """Yield the characters that fewer than FEW lines hold, each with these lines; none of small datasets."""
    if len(lines) < _ENOUGH_LINES:
        return
    count = Counter(character for line in lines for character in set(line.text))
    rare = {character for character, number in count.items() if number < FEW}
    holders: dict[str, list[Measured]] = {}
    for line in lines:
        for character in rare.intersection(line.text):
            holders.setdefault(character, []).append(line)
    for character, group in sorted(holders.items()):
        name = unicodedata.name(character, f"U+{ord(character):04X}").lower()
        yield group, f"{character!r} ({name}) is in {len(group)} of {len(lines)} lines"


@cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]
