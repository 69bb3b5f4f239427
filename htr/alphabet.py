"""Characters <-> class ids. Class 0 is the CTC blank; character number i is class i + 1.

Texts come and go in logical order, as they are stored; class ids stand in visual order, from left to right on
paper, because that is how a network reads. The two differ only where there are right-to-left letters, or marks
that steer the direction, which leave no ink and so are no classes: `htr.direction`.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from htr.direction import INVISIBLE, is_right_to_left, logical_order, visual_order
from htr.errors import DataError

BLANK = 0


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The characters a model can write, in class order.

    Raises:
        ValueError: a character occurs twice, or an entry is not one code point.
    """

    characters: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)
    _turned: frozenset[str] = field(init=False, repr=False, compare=False)
    """Characters whose readings may be stored otherwise than they look; empty for a left-to-right alphabet."""

    def __init__(self, characters: Iterable[str]) -> None:
        chars = tuple(characters)
        if len(set(chars)) != len(chars):
            raise ValueError("an alphabet lists each character once")
        if any(len(c) != 1 for c in chars):
            raise ValueError("an alphabet holds single code points (NFC)")
        leftward = frozenset(filter(is_right_to_left, chars))
        object.__setattr__(self, "characters", chars)
        object.__setattr__(self, "_ids", {c: i for i, c in enumerate(chars, start=1)})
        object.__setattr__(self, "_turned", leftward | INVISIBLE if leftward else leftward)

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> "Alphabet":
        """Collect the sorted characters that stand on paper where these texts are written, in NFC."""
        return cls(sorted(_shown_characters(texts)))

    def __len__(self) -> int:
        """Count classes, the blank included: the K of every score tensor."""
        return len(self.characters) + 1

    def encode(self, text: str) -> list[int]:
        """Return one class id a character, in visual order.

        Raises:
            DataError: the text holds a character outside the alphabet.
        """
        shown = self.visual(text)
        try:
            return [self._ids[c] for c in shown]
        except KeyError:
            raise DataError(
                f"text {text!r} has characters outside the alphabet: {self.missing(text)}; "
                "train on lines that hold them"
            ) from None

    def decode(self, class_ids: Sequence[int]) -> str:
        """Return the text, in logical order, of class ids that are free of blanks."""
        shown = "".join(self.characters[i - 1] for i in class_ids)
        return shown if self._turned.isdisjoint(shown) else logical_order(shown).text

    def reading_order(self, class_ids: Sequence[int]) -> list[int]:
        """Return for each character of `decode` which class id it is: 0, 1, 2, ... for left-to-right texts."""
        shown = "".join(self.characters[i - 1] for i in class_ids)
        return list(range(len(shown))) if self._turned.isdisjoint(shown) else logical_order(shown).positions

    def visual(self, text: str) -> str:
        """Return a text's characters as they stand on paper from left to right: what class ids stand for."""
        as_stored = self._turned.isdisjoint(text) and INVISIBLE.isdisjoint(text)
        return text if as_stored else visual_order(text).text

    def missing(self, text: str) -> list[str]:
        """Return the sorted characters that a text shows and this alphabet lacks."""
        return sorted({c for c in self.visual(text) if c not in self._ids})

    def extended(self, texts: Iterable[str]) -> "Alphabet":
        """Return an alphabet with the texts' new characters appended, so that known class ids stay."""
        return Alphabet((*self.characters, *sorted(_shown_characters(texts) - set(self.characters))))


def _shown_characters(texts: Iterable[str]) -> set[str]:
    normal = [normalise(text) for text in texts]
    turning = INVISIBLE.union(filter(is_right_to_left, set().union(*normal)))
    return set().union(*(text if turning.isdisjoint(text) else visual_order(text).text for text in normal))


def normalise(text: str) -> str:
    """Return text in NFC with white space collapsed to single spaces and trimmed: the form of every label."""
    return " ".join(unicodedata.normalize("NFC", text).split())
