"""Choosing a split: from a word that means one, or from a group's name when a table has no splits."""

import hashlib

from htr.lines import SPLITS

_WORDS = {split: split for split in SPLITS} | {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "testing": "test",
}


def split_named(word: str) -> str | None:
    """Return the split that a word means (``validation`` is val), or None."""
    return _WORDS.get(word.strip().casefold())


def split_of_group(name: str) -> str:
    """Return train, val or test (80, 10 and 10 %) for a writer, a page or a file.

    It hangs on the name alone: the same group lies in the same split in every import, whatever is added later.
    """
    bucket = int.from_bytes(hashlib.sha256(name.encode(errors="surrogatepass")).digest()[:8], "big") % 100
    return "train" if bucket < 80 else "val" if bucket < 90 else "test"
