"""Which corrections are about one line, and which of them is the last word on it.

Two corrections are about one line when the image is the same, or page and name of the line. Corrections go by
their numbers, from 0 in the order of arrival; of their texts nothing is kept, so that years of work fit in memory.
"""

from array import array

import numpy as np
import numpy.typing as npt

from htr.corrections import Correction
from htr.errors import DataError
from htr.numbered import Numbered

Numbers = npt.NDArray[np.intp]


class LastWords:
    """Told of corrections and withdrawals in the order of arrival; some 80 bytes a correction."""

    def __init__(self) -> None:
        self._ids = Numbered()
        self._firsts_of = Numbered()
        """What a line goes by -> the first correction that named it so."""
        self._parents = array("I")
        """Leads from every correction, in some steps, to the first one about the same line."""
        self._circle = array("I")
        """Leads from every correction to another one about the same line, and in the end back."""
        self._lasts = array("I")
        """At a line's first correction: one more than its last word's number, 0 without one; elsewhere 0."""
        self._withdrawn = bytearray()
        self._in_order: dict[int, list[int]] = {}
        """Of lines that lost a last word: first correction -> the corrections about the line, oldest first."""

    def __len__(self) -> int:
        """Return how many corrections there are, withdrawn ones included."""
        return len(self._parents)

    def add(self, one: Correction) -> int:
        """Take in the next correction, and return its number.

        Raises:
            DataError: there is one of that id; then nothing was taken in.
        """
        number = len(self._parents)
        if self._ids.setdefault(one.id, number) != number:
            raise DataError(f"stores {one.id!r} for the second time")
        self._parents.append(number)
        self._circle.append(number)
        self._lasts.append(number + 1)
        self._withdrawn.append(False)
        for name in _names(one):
            self._join(self._firsts_of.setdefault(name, number), number)
        return number

    def withdraw(self, correction_id: str) -> None:
        """Let a correction be no word any more; the one before it counts again.

        Raises:
            DataError: there is none of that id.
        """
        number = self._ids.get(correction_id)
        if number is None:
            raise DataError(f"withdraws {correction_id!r}, which was never stored")
        self._withdrawn[number] = True
        first = self.first(number)
        if self._lasts[first] == number + 1:
            self._lasts[first] = self._standing(first)

    def first(self, number: int) -> int:
        """Return the first correction about the same line, be it withdrawn."""
        parents = self._parents
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number

    def is_last(self, number: int) -> bool:
        """Return whether a correction is the last word on its line that was not withdrawn."""
        return self._lasts[self.first(number)] == number + 1

    def lines(self) -> tuple[Numbers, Numbers]:
        """Return of each line that has a last word that word, and the first correction about the line."""
        lasts = np.array(self._lasts, np.intp)
        firsts = np.flatnonzero(lasts)
        return lasts[firsts] - 1, firsts

    def _join(self, one: int, other: int) -> None:
        """Make two lines one, by a correction of each."""
        older, newer = sorted((self.first(one), self.first(other)))
        if older == newer:
            return
        self._keep_order(older, newer)
        self._parents[newer] = older
        self._circle[older], self._circle[newer] = self._circle[newer], self._circle[older]
        self._lasts[older], self._lasts[newer] = max(self._lasts[older], self._lasts[newer]), 0

    def _standing(self, first: int) -> int:
        """Return one more than the number of the last word on a line that was not withdrawn, 0 without one.

        The order is kept, since who withdraws all the corrections of a line does so one by one.
        """
        if first not in self._in_order:
            self._in_order[first] = sorted(self._about(first))
        words = self._in_order[first]
        while words and self._withdrawn[words[-1]]:
            words.pop()
        return words[-1] + 1 if words else 0

    def _keep_order(self, older: int, newer: int) -> None:
        """Let a line's order last while corrections arrive; that of two older lines made one is made anew."""
        words = self._in_order.pop(older, None)
        self._in_order.pop(newer, None)
        if words is not None and newer == len(self._parents) - 1:
            words.append(newer)
            self._in_order[older] = words

    def _about(self, first: int) -> list[int]:
        found = [first]
        while (number := self._circle[found[-1]]) != first:
            found.append(number)
        return found


def _names(one: Correction) -> list[str]:
    """Return what the line of a correction goes by; no part of it holds a control character."""
    image = f"image\0{one.image_digest}"
    return [image, f"line\0{one.page}\0{one.line}"] if one.line else [image]
