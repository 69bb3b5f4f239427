"""Measured lines in, columns of numbers out: all that a rule needs which looks at more than one line.

Names and texts are kept as 64 bits of a hash each (two of a million are mistaken for one another once in 30
million audits), so that a line takes 109 bytes, however long it is. What people are to read of the lines in
question is taken from the dataset again.
"""

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from htr.audit.fingerprints import NUM_WORDS
from htr.audit.measures import Measured
from htr.lines import CORRECTIONS

APART = ("train", "val", "test")
"""Splits that must not share a hand."""

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ledger:
    """One entry a line in every column; a name that a line has not is 0."""

    pixels: Hashes
    """Of the size and the grey levels: the same for every lossless form of an image; 0 where there is none."""
    bits: Hashes
    """Shape (number of lines, NUM_WORDS): the perceptual hash; 0 where ``aspect`` is."""
    aspect: npt.NDArray[np.float32]
    """Width by height of the ink's box; 0 where there is no ink."""
    text: Hashes
    writer: Hashes
    """0 for lines that may share their writer with other splits."""
    page: Hashes
    """Of source and page: many collections have a page 1. 0 for lines that may share it."""
    written: Hashes
    """Of writer and text; 0 for lines that may share them."""
    split: npt.NDArray[np.uint8]
    """Number of the split, in the order in which they occur."""

    def __len__(self) -> int:
        return len(self.text)

    @classmethod
    def of(cls, lines: Iterable[Measured]) -> "Ledger":
        """Return the ledger of some lines; the n-th must have row n."""
        entries = Entries()
        for line in lines:
            entries.add(line)
        return entries.ledger()


class Entries:
    """A ledger that is being written."""

    def __init__(self) -> None:
        self._hashes = {name: array("Q") for name in ("pixels", "bits", "text", "writer", "page", "written")}
        self._aspect, self._split = array("f"), array("B")
        self._splits: dict[str, int] = {}

    def add(self, line: Measured) -> None:
        """Enter a line."""
        picture = line.picture
        ink = picture.fingerprint if picture else None
        into = self._hashes
        into["pixels"].append(int.from_bytes(picture.pixels[:8], "little") or 1 if picture else 0)
        into["bits"].frombytes(ink.bits.tobytes() if ink else bytes(8 * NUM_WORDS))
        self._aspect.append(ink.aspect if ink else 0.0)
        judged = is_judged(split=line.split, source=line.source)
        into["text"].append(_hashed(line.text))
        into["writer"].append(_hashed(line.writer) if judged and line.writer else 0)
        into["page"].append(_hashed(line.source, line.page) if judged and line.page else 0)
        into["written"].append(_hashed(line.writer, line.text) if judged and line.writer else 0)
        self._split.append(min(self._splits.setdefault(line.split, len(self._splits)), 255))

    def ledger(self) -> Ledger:
        """Return what was entered; nothing is copied."""
        columns = {name: np.frombuffer(values, np.uint64) for name, values in self._hashes.items()}
        columns["bits"] = columns["bits"].reshape(-1, NUM_WORDS)
        return Ledger(
            aspect=np.frombuffer(self._aspect, np.float32), split=np.frombuffer(self._split, np.uint8), **columns
        )


def is_judged(*, split: str, source: str) -> bool:
    """Tell whether a line's writer and page must be in its split alone."""
    return split in APART and source != CORRECTIONS


def groups_of(keys: Hashes) -> list[Numbers]:
    """Return the rows of every key but 0 that occurs twice or more, each group in order, by its first row."""
    rows = np.flatnonzero(keys)
    order = rows[np.argsort(keys[rows], kind="stable")]
    if not len(order):
        return []
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    begins = np.concatenate(([0], edges))
    ends = np.concatenate((edges, [len(order)]))
    several = np.flatnonzero(ends - begins > 1)
    several = several[np.argsort(order[begins[several]], kind="stable")]
    return [order[begins[at] : ends[at]] for at in several]


def _hashed(*names: str) -> int:
    text = "\0".join(names).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") or 1
