"""Logical order <-> visual order: text as it is stored and read aloud, and as it stands on paper, left to right.

A network reads a line from left to right, so the classes of a right-to-left text must come in visual order, and
what it read must be turned back. Both are done here and nowhere else, by the Unicode Bidirectional Algorithm
(UAX #9) as python-bidi has it; the base direction is that of the text's first strong letter (rules P2 and P3).

In visual order a bracket is the one that is seen: the "(" that opens an Arabic remark looks like ")", and is one
class with every other ")" (rule L4). Combining marks follow their letter, as in other scripts (rule L3).
Characters that steer the direction leave no ink and are dropped.

Several stored texts can look the same on paper; `logical_order` returns the likeliest, and `is_recoverable` tells
whether that is the text one began with. See docs/decisions/0009-visual-order.md.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from htr.errors import DataError

INVISIBLE = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that steer the direction and leave no ink (UAX #9, section 2)."""
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI"})
_STRONG = frozenset({"L", "R", "AL"})
_FIRST_TAG, _NUM_TAGS = 0xE0020, 95
_END = "\ufffc"
_UNLIKE_TAGS = {ord(_END): "\ufffd", **{_FIRST_TAG + i: "\u200b" for i in range(_NUM_TAGS)}}
MAX_LENGTH = _NUM_TAGS**3
"""Longest text that can be ordered, in code points."""


class Ordered(NamedTuple):
    """A text in the other order."""

    text: str
    positions: list[int]
    """For each character of the text, its index in the text that was given."""


def is_right_to_left(character: str) -> bool:
    """Tell whether the visual order of a text with this character can differ from the stored one."""
    return unicodedata.bidirectional(character) in _RIGHT_TO_LEFT


def visual_order(text: str) -> Ordered:
    """Return a stored text as it stands on paper.

    Raises:
        DataError: the text is longer than MAX_LENGTH.
    """
    return _ordered(text, _levels(text, None))


def logical_order(text: str) -> Ordered:
    """Return the stored text that stands on paper like this, from left to right.

    Where several do, the base direction is that of most words, and what stands next to each other in that
    direction is next to each other in the text. Where none does, as can be with a line that was misread, the
    nearest thing.

    Raises:
        DataError: the text is longer than MAX_LENGTH.
    """
    candidates = _candidates(text)
    nearest = next(candidates)
    for candidate in chain([nearest], candidates):
        if visual_order(candidate.text).text == text:
            return candidate
    return nearest


def is_recoverable(text: str) -> bool:
    """Tell whether a text that is read without error comes back as itself."""
    if not INVISIBLE.isdisjoint(text):
        return False  # a reading lacks the mark
    return not any(map(is_right_to_left, text)) or logical_order(visual_order(text).text).text == text


def _candidates(text: str) -> Iterator[Ordered]:
    """Propose stored texts, the likeliest first: the algorithm is nearly its own inverse."""
    words = [
        next((d for c in word if (d := unicodedata.bidirectional(c)) in _STRONG), "") for word in text.split()
    ]
    leftward = 2 * words.count("L") <= len(words) - words.count("")
    for base in ("R", "L") if leftward else ("L", "R"):
        # Digits go by the letters before them (rules W2 and W7), and in a line from right to left those stand to
        # the right: flipped, the text has them where the algorithm looks.
        ways = (_from_the_left, _from_the_right) if base == "L" else (_from_the_right, _from_the_left)
        for way in ways:
            yield way(text, base)


def _from_the_left(text: str, base: str) -> Ordered:
    return _ordered(text, _levels(text, base))


def _from_the_right(text: str, base: str) -> Ordered:
    flipped = _flipped(text)
    ordered = _ordered(flipped.text, _levels(flipped.text, base))
    back = _flipped(ordered.text)
    return Ordered(back.text, [flipped.positions[ordered.positions[index]] for index in back.positions])


def _flipped(text: str) -> Ordered:
    """Return a text as a mirror shows it, each letter still before its marks."""
    return _ordered(text, [(index, True) for index in reversed(range(len(text)))])


def _ordered(text: str, levels: list[tuple[int, bool]]) -> Ordered:
    """Put characters in the order of their levels, mirror those of odd levels, and marks after their letters."""
    mirrored = _mirrored()
    leftward = dict(levels)
    is_mark = [index > 0 and unicodedata.bidirectional(c) == "NSM" for index, c in enumerate(text)]
    positions: list[int] = []
    for index in leftward:
        if not is_mark[index]:
            end = next((i for i in range(index + 1, len(text)) if not is_mark[i]), len(text))
            positions += range(index, end)
    positions = [index for index in positions if text[index] not in INVISIBLE]
    shown = [mirrored.get(text[i], text[i]) if leftward[i] else text[i] for i in positions]
    return Ordered("".join(shown), positions)


def _levels(text: str, base: str | None) -> list[tuple[int, bool]]:
    """Return each character's index, from left to right on paper, and whether it is of an odd level.

    python-bidi returns no more than a text. So each character is followed by three tag characters that number it:
    the algorithm looks through them (section 5.2), and they come out after a character of an even level, before
    one of an odd. A neutral character ends the text: the last tags would count as trailing space (rule L1).
    """
    from bidi import get_display  # here, since texts without right-to-left letters do without it

    if len(text) > MAX_LENGTH:
        raise DataError(f"a line of {len(text)} characters is longer than the {MAX_LENGTH} that can be ordered")
    tagged = "".join([c + _tag(index) for index, c in enumerate(text.translate(_UNLIKE_TAGS))])
    shown = get_display(tagged + _END, base_dir=base).replace(_END, "")
    levels: list[tuple[int, bool]] = []
    for start in range(0, len(shown), 4):
        group = shown[start : start + 4]
        leftward = _FIRST_TAG <= ord(group[0]) < _FIRST_TAG + _NUM_TAGS
        digits = group[2::-1] if leftward else group[1:]
        levels.append((_index(digits), leftward))
    return levels


@lru_cache(maxsize=4096)
def _tag(index: int) -> str:
    digits = index // _NUM_TAGS**2, index // _NUM_TAGS % _NUM_TAGS, index % _NUM_TAGS
    return "".join(chr(_FIRST_TAG + digit) for digit in digits)


@lru_cache(maxsize=4096)
def _index(tag: str) -> int:
    high, middle, low = (ord(c) - _FIRST_TAG for c in tag)
    return (high * _NUM_TAGS + middle) * _NUM_TAGS + low


@lru_cache(maxsize=1)
def _mirrored() -> dict[str, str]:
    """Return the character that each mirrored character looks like in a right-to-left text, in pairs."""
    from bidi.mirror import MIRRORED

    return {c: other for c, other in MIRRORED.items() if unicodedata.mirrored(c) and MIRRORED.get(other) == c}
