"""Perceptual hashes of many lines -> the pairs that are close, in time that hardly grows faster than the lines.

Comparing each line with each other takes a hundred times as long for ten times as many. Here they are sorted
NUM_ORDERS times, each time by other bits of their hashes, drawn at random, and compared with what stands near
them. Copies share the first bits in one order or another (Indyk and Motwani 1998; Charikar 2002); decision 26 says
how many.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from htr.audit.fingerprints import NUM_BITS
from htr.audit.ledger import Hashes, Ledger, Numbers

MAX_DISTANCE = 100
"""Bits of 512. Unrelated lines differ in 142 at the median of each one's nearest."""
MAX_CANDIDATES = 8
"""Lines that one line is laid upon at most, the closest: thousands of printed forms are alike."""
MAX_STRETCH = 0.25
"""How far the logarithms of the ink boxes' width by height may differ."""
NUM_ORDERS = 64
NEAR = 64
"""Places in an order within which lines are compared."""
_MORE_BITS = 4
"""First bits that must be the same, beyond the logarithm of the number of lines: few share those by chance."""
_AT_A_TIME = 2**17
"""Pairs."""
_HELD = 2**22
"""Pairs that are held before the closest of each line are sorted out."""


_Distances = npt.NDArray[np.int16]
_Coded = tuple[Hashes, _Distances]
"""Pairs as ``smaller * count + greater``, and how far they are apart."""


class Pairs(NamedTuple):
    """Pairs of lines, ascending."""

    one: Numbers
    """The smaller row of each."""
    two: Numbers


def close_pairs(ledger: Ledger, rows: Numbers) -> Pairs:
    """Return the pairs whose hashes are close and whose ink has about the same shape.

    Args:
        ledger: of all lines.
        rows: those that are compared, ascending.
    """
    parts = [(np.empty(0, np.uint64), np.empty(0, np.int16))]
    held = 0
    if len(rows) > 1:
        for part in _found(ledger.bits[rows], np.log(ledger.aspect[rows])):
            parts.append(part)
            held += len(part[0])
            if held > _HELD:
                parts, held = [_closest(parts, len(rows))], 0
    codes, _ = _closest(parts, len(rows))
    count = np.uint64(max(1, len(rows)))
    return Pairs(rows[(codes // count).astype(np.int64)], rows[(codes % count).astype(np.int64)])


def _found(bits: Hashes, aspects: npt.NDArray[np.float32]) -> Iterator[_Coded]:
    """Yield close pairs, some more than once."""
    rng = np.random.default_rng(26)  # the same orders in every audit
    count = len(bits)
    first_bits = min(64, int(count - 1).bit_length() + _MORE_BITS)
    for _ in range(NUM_ORDERS):
        keys = _keys(bits, rng.permutation(NUM_BITS)[:64])
        order = np.argsort(keys, kind="stable")
        first = keys[order] >> np.uint64(64 - first_bits)
        for apart in range(1, min(NEAR, count - 1) + 1):
            at = np.flatnonzero(first[apart:] == first[:-apart])
            if not len(at):
                break
            for begin in range(0, len(at), _AT_A_TIME):
                piece = at[begin : begin + _AT_A_TIME]
                one, two = order[piece], order[piece + apart]
                alike = np.abs(aspects[one] - aspects[two]) <= MAX_STRETCH
                one, two = one[alike], two[alike]
                distances = np.bitwise_count(bits[one] ^ bits[two]).sum(axis=1, dtype=np.int16)
                close = distances <= MAX_DISTANCE
                low, high = np.minimum(one, two)[close], np.maximum(one, two)[close]
                yield low.astype(np.uint64) * np.uint64(count) + high.astype(np.uint64), distances[close]


def _keys(bits: Hashes, chosen: Numbers) -> Hashes:
    """Return 64 chosen bits of every hash as one number."""
    octets = bits.view(np.uint8).reshape(len(bits), -1)
    keys = np.zeros(len(bits), np.uint64)
    for place in chosen.tolist():
        keys <<= np.uint64(1)
        keys |= (octets[:, place // 8] >> (7 - place % 8)) & 1
    return keys


def _closest(parts: list[_Coded], count: int) -> _Coded:
    """Return every pair once, and of each line's pairs with later ones only the MAX_CANDIDATES closest."""
    codes, at = np.unique(np.concatenate([codes for codes, _ in parts]), return_index=True)
    distances = np.concatenate([distances for _, distances in parts])[at]
    ones = codes // np.uint64(max(1, count))
    order = np.lexsort((distances, ones))
    begins = np.searchsorted(ones, ones[order], side="left")  # codes ascend, and so do they
    kept = np.sort(order[np.arange(len(order)) - begins < MAX_CANDIDATES])
    return codes[kept], distances[kept]
