"""Names and a number each: some 24 bytes a name, however long it is, where a dict of texts takes 150 and more.

A name is kept as 64 bits of a hash under a key that is drawn anew for every object, so that nobody can choose
names that meet; two of a million meet by chance in one start of forty million.
"""

import hashlib
import os
from array import array

_FIRST_PLACES = 1024
_FULL = 0.66
"""Share of the places beyond which there are made twice as many."""


class Numbered:
    """A map from names to numbers that names are only added to."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._hashes, self._numbers = _places(_FIRST_PLACES)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str) -> int | None:
        """Return the number of a name, None where there is none."""
        at = self._place(self._hashed(name))
        return self._numbers[at] if self._hashes[at] else None

    def setdefault(self, name: str, number: int) -> int:
        """Return the number of a name, which is this one where it had none.

        Args:
            name: any text.
            number: 0 to 2**32 - 1.
        """
        hashed = self._hashed(name)
        at = self._place(hashed)
        if self._hashes[at]:
            return self._numbers[at]
        self._hashes[at], self._numbers[at] = hashed, number
        self._count += 1
        if self._count > _FULL * len(self._hashes):
            self._grow()
        return number

    def _hashed(self, name: str) -> int:
        digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") or 1  # 0 marks a free place

    def _place(self, hashed: int) -> int:
        """Return where a hash stands, or the free place where it belongs."""
        hashes, last = self._hashes, len(self._hashes) - 1
        at = hashed & last
        while hashes[at] and hashes[at] != hashed:
            at = (at + 1) & last
        return at

    def _grow(self) -> None:
        before = zip(self._hashes, self._numbers, strict=True)
        self._hashes, self._numbers = _places(2 * len(self._hashes))
        for hashed, number in before:
            if hashed:
                at = self._place(hashed)
                self._hashes[at], self._numbers[at] = hashed, number


def _places(count: int) -> "tuple[array[int], array[int]]":
    return array("Q", bytes(8 * count)), array("I", bytes(4 * count))
