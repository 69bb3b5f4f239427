"""Characters <-> class ids. Class 0 is the CTC blank; character number i is class i + 1."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from htr.errors import DataError

BLANK = 0


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The characters a model can write, in class order.

    Raises:
        ValueError: a character occurs twice, or an entry is not one code point.
    """

    characters: tuple[str, ...]

    def __init__(self, characters: Iterable[str]) -> None:
        chars = tuple(characters)
        if len(set(chars)) != len(chars):
            raise ValueError("an alphabet lists each character once")
        if any(len(c) != 1 for c in chars):
            raise ValueError("an alphabet holds single code points (NFC)")
        object.__setattr__(self, "characters", chars)

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> "Alphabet":
        """Collect the sorted characters of NFC-normalised texts."""
        return cls(sorted({c for text in texts for c in normalise(text)}))

    def __len__(self) -> int:
        """Count classes, the blank included: the K of every score tensor."""
        return len(self.characters) + 1

    def encode(self, text: str) -> list[int]:
        """Return one class id a character.

        Raises:
            DataError: the text holds a character outside the alphabet.
        """
        ids = {c: i for i, c in enumerate(self.characters, start=1)}
        unknown = sorted({c for c in text if c not in ids})
        if unknown:
            raise DataError(
                f"text {text!r} has characters outside the alphabet: {unknown}; train on lines that hold them"
            )
        return [ids[c] for c in text]

    def decode(self, class_ids: Sequence[int]) -> str:
        """Return the text of class ids that are free of blanks."""
        return "".join(self.characters[i - 1] for i in class_ids)

    def missing(self, text: str) -> list[str]:
        """Return the sorted characters of a text that this alphabet lacks."""
        return sorted(set(text) - set(self.characters))

    def extended(self, texts: Iterable[str]) -> "Alphabet":
        """Return an alphabet with the texts' new characters appended, so that known class ids stay."""
        known = set(self.characters)
        new = sorted({c for text in texts for c in normalise(text)} - known)
        return Alphabet((*self.characters, *new))


def normalise(text: str) -> str:
    """Return text in NFC with white space collapsed to single spaces and trimmed: the form of every label."""
    return " ".join(unicodedata.normalize("NFC", text).split())
