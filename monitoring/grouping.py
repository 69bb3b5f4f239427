"""Which rows stay together when the test shuffles: single rows, or all rows of a request and all of a page.

Lines of one page resemble each other. Where requests bring several lines, and the reference knows which of its
lines share a page (its column ``group``), whole requests and pages are shuffled. That holds where a request is
about what a page of the reference is: some lines by one hand. Smaller requests make the test cautious, larger ones
bold.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MAX_TESTED = 5_000
"""Rows of a window, and twice as many of a reference, that are tested; of more, a random sample: the smaller side
decides what can be told."""
MIN_GROUPS = 5
"""Requests: fewer can be parted from the reference's pages in too few ways to tell anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping:
    """Rows that are tested, and how they hang together."""

    reference_rows: npt.NDArray[np.intp]
    """Places in the reference, in order."""
    window_rows: npt.NDArray[np.intp]
    """Places in the window, in order."""
    group: npt.NDArray[np.intp]
    """Of each reference row, then of each window row."""
    num_groups_now: int
    shuffled: Literal["rows", "groups"]


def count_requests(current: pa.Table) -> int:
    """Return how many requests the rows came in; rows of no request are one each."""
    return len(current["request_id"].unique()) if "request_id" in current.column_names else len(current)


def requests_of(current: pa.Table) -> npt.NDArray[np.intp]:
    """Return the request of each row: numbers from 0, in the order of their first rows."""
    return _codes(current, "request_id")


def group_rows(reference: pa.Table, current: pa.Table, *, by_request: bool, seed: int = 0) -> Grouping:
    """Choose what is tested.

    Args:
        reference: profile rows, with a column ``group`` where it is known which belong together.
        current: profile rows, or rows of the prediction log.
        by_request: shuffle whole requests where rows come in requests of several.
        seed: of the sample.
    """
    rng = np.random.default_rng(seed)
    before, now = _codes(reference, "group"), requests_of(current)
    together = by_request and _repeats(before) and _repeats(now)
    if not together:
        before, now = np.arange(len(reference)), np.arange(len(current))
    before_rows, now_rows = _sample(before, 2 * MAX_TESTED, rng), _sample(now, MAX_TESTED, rng)
    _, before_codes = np.unique(before[before_rows], return_inverse=True)
    _, now_codes = np.unique(now[now_rows], return_inverse=True)
    first = int(before_codes.max()) + 1
    return Grouping(
        reference_rows=before_rows,
        window_rows=now_rows,
        group=np.concatenate([before_codes, now_codes + first]),
        num_groups_now=int(now_codes.max()) + 1,
        shuffled="groups" if together else "rows",
    )


def _codes(table: pa.Table, column: str) -> npt.NDArray[np.intp]:
    if column not in table.column_names:
        return np.arange(len(table))
    return np.asarray(table[column].combine_chunks().dictionary_encode().indices.to_numpy(), np.intp)


def _repeats(codes: npt.NDArray[np.intp]) -> bool:
    return len(np.unique(codes)) < len(codes)


def _sample(codes: npt.NDArray[np.intp], most: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return places of whole groups, drawn until they hold ``most`` rows; all of them where there are no more."""
    if len(codes) <= most:
        return np.arange(len(codes))
    sizes = np.bincount(codes)
    drawn = rng.permutation(len(sizes))
    kept = drawn[np.cumsum(sizes[drawn]) <= most]
    is_kept = np.zeros(len(sizes), np.bool_)
    is_kept[kept if len(kept) else drawn[:1]] = True
    return np.flatnonzero(is_kept[codes])
