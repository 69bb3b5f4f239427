"""A lexicon: the words that training texts hold, and whether a word that was read is among them.

A word is a run of letters, whatever their case; digits and punctuation belong to no word. Kept in a bundle as
``lexicon.txt``, one word a line, UTF-8.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from htr.alphabet import normalise
from htr.errors import BundleError


class Lexicon:
    """A set of words, in lower case (Unicode case folding).

    Args:
        words: as they are written.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = frozenset(word.casefold() for word in words)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word.casefold() in self.words

    @classmethod
    def of_texts(cls, texts: Iterable[str], *, min_count: int = 1) -> "Lexicon":
        """Collect the words of normalised texts that occur at least ``min_count`` times."""
        counts = Counter(word.casefold() for text in texts for word in words(text))
        return cls(word for word, n in counts.items() if n >= min_count)

    def to_bytes(self) -> bytes:
        """Return the content of ``lexicon.txt``."""
        return "".join(f"{word}\n" for word in sorted(self.words)).encode()

    @classmethod
    def load(cls, path: Path) -> "Lexicon":
        """Load what `to_bytes` wrote, or any list of one word a line.

        Raises:
            BundleError: missing, or not UTF-8 text.
        """
        try:
            return cls(w for line in path.read_text(encoding="utf-8").splitlines() if (w := normalise(line)))
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(f"{path}: not a list of words ({error}); tune the bundle again") from error


def in_word(character: str) -> bool:
    """Return whether a character belongs to a word: letters, and the marks that stand on them."""
    return character.isalpha() or unicodedata.category(character).startswith("M")


def words(text: str) -> list[str]:
    """Return the runs of letters of a text, in order."""
    return "".join(c if in_word(c) else " " for c in text).split()
