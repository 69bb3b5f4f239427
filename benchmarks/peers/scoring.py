"""Texts -> error rates, for all peers alike: NFC, single spaces, case-sensitive, by `htr.metrics`."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers.layout import LaidLine
from htr.alphabet import normalise
from htr.metrics import ErrorCounts, bootstrap_ratio, count_errors, paired_bootstrap


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Rates of some lines, each with its 95 % bootstrap interval over lines; fractions."""

    lines: int
    cer: float
    cer_interval: tuple[float, float]
    exact: float
    exact_interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """CER of one reading less that of another on the same lines, with its 95 % interval; fractions."""

    value: float
    interval: tuple[float, float]


def errors_of(lines: Sequence[LaidLine], texts: Sequence[str]) -> list[ErrorCounts]:
    """Compare every text with its line's truth."""
    return [count_errors(line.text, normalise(text)) for line, text in zip(lines, texts, strict=True)]


def scores(lines: Sequence[LaidLine], errors: Sequence[ErrorCounts]) -> dict[str, Score]:
    """Return the score of ``all`` lines, then of every source by name, where there is more than one."""
    groups = {"all": list(errors)}
    sources = sorted({line.source for line in lines})
    if len(sources) > 1:
        for source in sources:
            found = [e for line, e in zip(lines, errors, strict=True) if line.source == source]
            groups[source or "(no source)"] = found
    return {name: _score(found) for name, found in groups.items()}


def difference(ours: Sequence[ErrorCounts], theirs: Sequence[ErrorCounts]) -> Difference:
    """Return CER(ours) - CER(theirs), lines resampled in pairs."""
    value, low, high = paired_bootstrap(
        [e.edits for e in ours], [e.edits for e in theirs], [e.characters for e in ours]
    )
    return Difference(value=value, interval=(low, high))


def changed(alone: Sequence[str], together: Sequence[str]) -> int:
    """Count the lines whose text, as the peer gave it, differs between two batch sizes."""
    return sum(a != b for a, b in zip(alone, together, strict=True))


def _score(errors: Sequence[ErrorCounts]) -> Score:
    total = sum(errors, ErrorCounts())
    return Score(
        lines=total.lines,
        cer=total.cer,
        cer_interval=bootstrap_ratio([e.edits for e in errors], [e.characters for e in errors]),
        exact=total.exact_match,
        exact_interval=bootstrap_ratio([e.exact for e in errors], [e.lines for e in errors]),
    )
