"""Names that were met before: 32 bytes a name, however long it is, where a set of texts takes 150 and more."""

import hashlib
from array import array

_FIRST_PLACES = 1024
_FULL = 0.5
"""Share of the places beyond which there are made twice as many."""


class Seen:
    """A set that texts are added to, kept as 128 bits of a hash of each: two of a billion never meet by chance."""

    def __init__(self) -> None:
        self._low, self._high = _places(_FIRST_PLACES), _places(_FIRST_PLACES)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: str) -> bool:
        low, high = _hashed(name)
        return self._low[self._place(low, high)] != 0

    def add(self, name: str) -> bool:
        """Add a name; tell whether it is new."""
        low, high = _hashed(name)
        at = self._place(low, high)
        if self._low[at]:
            return False
        self._low[at], self._high[at] = low, high
        self._count += 1
        if self._count > _FULL * len(self._low):
            self._grow()
        return True

    def _place(self, low: int, high: int) -> int:
        """Return where a hash stands, or the free place where it belongs."""
        last = len(self._low) - 1
        at = high & last
        while self._low[at] and (self._low[at] != low or self._high[at] != high):
            at = (at + 1) & last
        return at

    def _grow(self) -> None:
        before = zip(self._low, self._high, strict=True)
        self._low, self._high = _places(2 * len(self._low)), _places(2 * len(self._high))
        for low, high in before:
            if low:
                at = self._place(low, high)
                self._low[at], self._high[at] = low, high


def _places(count: int) -> "array[int]":
    return array("Q", bytes(8 * count))


def _hashed(name: str) -> tuple[int, int]:
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).digest()
    # 0 marks a free place
    return int.from_bytes(digest[:8], "little") or 1, int.from_bytes(digest[8:], "little")
