"""Error rates as sums of edits and lengths, so that batches, shards and ranks add up exactly.

CER is micro: all edits over all reference characters. Texts are compared in NFC and in logical order,
case-sensitive, spaces kept. A character is a code point; beside it edits are counted in grapheme clusters
(UAX #29), where a letter with its marks is one thing. Where no marks are written, as in plain Latin, the two are
the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from htr.graphemes import graphemes

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorCounts:
    """Edits and lengths of some lines; add two to get those of both."""

    lines: int = 0
    exact: int = 0
    """Lines that were read without any error."""
    edits: int = 0
    characters: int = 0
    """Reference characters, in code points."""
    grapheme_edits: int = 0
    graphemes: int = 0
    """Reference characters, in grapheme clusters."""
    word_edits: int = 0
    words: int = 0
    """Reference words, cut at spaces."""

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            lines=self.lines + other.lines,
            exact=self.exact + other.exact,
            edits=self.edits + other.edits,
            characters=self.characters + other.characters,
            grapheme_edits=self.grapheme_edits + other.grapheme_edits,
            graphemes=self.graphemes + other.graphemes,
            word_edits=self.word_edits + other.word_edits,
            words=self.words + other.words,
        )

    @property
    def cer(self) -> float:
        """Character error rate in code points, 0 and up; above 1 where more was read than was written."""
        return self.edits / max(1, self.characters)

    @property
    def grapheme_cer(self) -> float:
        """Character error rate in grapheme clusters, 0 and up."""
        return self.grapheme_edits / max(1, self.graphemes)

    @property
    def wer(self) -> float:
        """Word error rate, 0 and up."""
        return self.word_edits / max(1, self.words)

    @property
    def exact_match(self) -> float:
        """Share of lines without any error, 0..1."""
        return self.exact / max(1, self.lines)


def count_errors(truth: str, reading: str) -> ErrorCounts:
    """Compare one reading with its truth."""
    words = truth.split()
    edits = Levenshtein.distance(truth, reading)
    wanted, found = graphemes(truth), graphemes(reading)
    alike = wanted is truth and found is reading  # each code point is a cluster: no need to count again
    return ErrorCounts(
        lines=1,
        exact=int(truth == reading),
        edits=edits,
        characters=len(truth),
        grapheme_edits=edits if alike else Levenshtein.distance(wanted, found),
        graphemes=len(wanted),
        word_edits=Levenshtein.distance(words, reading.split()),
        words=len(words),
    )


def bootstrap_ratio(
    numerators: Sequence[int],
    denominators: Sequence[int],
    *,
    seed: int = 0,
    num_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of sum(numerators) / sum(denominators) over lines (Efron 1979)."""
    top, bottom = np.asarray(numerators, np.int64), np.asarray(denominators, np.int64)
    ratios = [top[rows].sum() / max(1, bottom[rows].sum()) for rows in _resamples(len(top), num_resamples, seed)]
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2]) if ratios else (0.0, 0.0)
    return float(low), float(high)


def paired_bootstrap(
    edits_a: Sequence[int],
    edits_b: Sequence[int],
    lengths: Sequence[int],
    *,
    seed: int = 0,
    num_resamples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Return the difference CER(a) - CER(b) on the same lines, and its interval over resampled lines.

    Resampling lines in pairs cancels what makes a line hard for both (Bisani and Ney 2004, section 3).
    """
    difference = np.asarray(edits_a, np.int64) - np.asarray(edits_b, np.int64)
    bottom = np.asarray(lengths, np.int64)
    if len(bottom) == 0:
        return 0.0, 0.0, 0.0
    samples = [
        difference[rows].sum() / max(1, bottom[rows].sum())
        for rows in _resamples(len(bottom), num_resamples, seed)
    ]
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(difference.sum() / max(1, bottom.sum())), float(low), float(high)


def _resamples(size: int, count: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    for _ in range(count if size else 0):
        yield rng.integers(0, size, size)


def edit_operations(truth: Sequence[str], reading: Sequence[str]) -> list[tuple[str, str]]:
    """Return aligned (truth, reading) pairs of characters or clusters; "" is an insertion or a deletion."""
    pairs: list[tuple[str, str]] = []
    for op in Levenshtein.opcodes(truth, reading):
        left, right = truth[op.src_start : op.src_end], reading[op.dest_start : op.dest_end]
        if op.tag in {"equal", "replace"}:
            pairs += zip(left, right, strict=True)
        elif op.tag == "delete":
            pairs += [(c, "") for c in left]
        else:
            pairs += [("", c) for c in right]
    return pairs
