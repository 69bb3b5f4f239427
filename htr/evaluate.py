"""Evaluation: a bundle and a lines dataset in; every reading, error rates with intervals, and a profile out.

It reads through `Recogniser`, the same code that serves, so that a figure in a report is a figure of production.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from htr.calibration import Calibration, fit
from htr.errors import ImageError
from htr.lines import LinesDataset
from htr.metrics import ErrorCounts, bootstrap_ratio, count_errors, edit_operations
from htr.profile import REFERENCE_SCHEMA, Profile
from htr.recogniser import Reading, Recogniser

REPORT_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadLine:
    """One line with its truth, its reading and its errors."""

    id: str
    split: str
    source: str
    language: str
    truth: str
    reading: str
    log_prob: float
    """Log-probability of the reading over all its alignments, before calibration."""
    errors: ErrorCounts
    profile: Profile | None
    """None where the image could not be decoded; the line then counts as read empty, at confidence 0."""
    confidence: float = 0.0
    """Probability that the whole line is right, 0..1; see `recalibrated`."""
    search_log_prob: float | None = None
    """Log of the reading's share among the texts that a beam search found; None without one."""
    writer: str = ""
    page: str = ""

    @property
    def right(self) -> bool:
        """Whether the line was read without error."""
        return self.errors.edits == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Error rates of a group of lines, each with its 95 % bootstrap interval over lines."""

    lines: int
    characters: int
    cer: float
    cer_interval: tuple[float, float]
    """In code points."""
    graphemes: int
    grapheme_cer: float
    grapheme_cer_interval: tuple[float, float]
    """In grapheme clusters: a letter with its marks is one."""
    wer: float
    wer_interval: tuple[float, float]
    exact_match: float
    exact_match_interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class CharacterScore:
    """How well one character is read; counts over aligned texts."""

    character: str
    written: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """All readings of one bundle on one dataset."""

    bundle_digest: str
    dataset_digest: str
    lines: list[ReadLine] = field(default_factory=list)

    def of(self, split: str) -> list[ReadLine]:
        """Return the lines of a split."""
        return [line for line in self.lines if line.split == split]


def evaluate(
    recogniser: Recogniser,
    dataset: LinesDataset,
    splits: Sequence[str],
    *,
    on_line: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Read every line of some splits.

    Args:
        recogniser: the model as it serves.
        dataset: lines with their truth.
        splits: which of them to read.
        on_line: called with the number of lines read so far.
    """
    lines: list[ReadLine] = []
    for line in dataset.lines():
        if line.split not in splits:
            continue
        try:
            (observed,) = recogniser.observe([line.image])
            reading, measured = observed.reading, observed.profile
        except ImageError:
            reading, measured = Reading(text="", confidence=0.0), None
        lines.append(
            ReadLine(
                id=line.id,
                split=line.split,
                source=line.source,
                language=line.language,
                truth=line.text,
                reading=reading.text,
                log_prob=reading.log_prob,
                search_log_prob=reading.search_log_prob,
                errors=count_errors(line.text, reading.text),
                profile=measured,
                confidence=reading.confidence,
                writer=line.writer,
                page=line.page,
            )
        )
        on_line(len(lines))
    return Evaluation(bundle_digest=recogniser.digest, dataset_digest=dataset.digest, lines=lines)


def rates(lines: Sequence[ReadLine], *, seed: int = 0) -> Rates:
    """Sum the errors of some lines up and bootstrap over lines."""
    total = sum((line.errors for line in lines), ErrorCounts())
    errors = [line.errors for line in lines]
    points = [e.edits for e in errors], [e.characters for e in errors]
    clusters = [e.grapheme_edits for e in errors], [e.graphemes for e in errors]
    interval = bootstrap_ratio(*points, seed=seed)
    return Rates(
        lines=total.lines,
        characters=total.characters,
        cer=total.cer,
        cer_interval=interval,
        graphemes=total.graphemes,
        grapheme_cer=total.grapheme_cer,
        # Plain Latin has the same counts, and the same interval then.
        grapheme_cer_interval=interval if clusters == points else bootstrap_ratio(*clusters, seed=seed),
        wer=total.wer,
        wer_interval=bootstrap_ratio([e.word_edits for e in errors], [e.words for e in errors], seed=seed),
        exact_match=total.exact_match,
        exact_match_interval=bootstrap_ratio([e.exact for e in errors], [e.lines for e in errors], seed=seed),
    )


def rates_by(lines: Sequence[ReadLine], attribute: str) -> dict[str, Rates]:
    """Return the rates of every group of lines that share an attribute (``source``, ``language``)."""
    groups = sorted({str(getattr(line, attribute)) for line in lines})
    return {g: rates([line for line in lines if getattr(line, attribute) == g]) for g in groups}


def confusions(lines: Iterable[ReadLine], *, most: int = 30) -> list[tuple[str, str, int]]:
    """Return the commonest (truth, reading, count) errors; "" stands for an insertion or a deletion."""
    counts = Counter(
        pair for line in lines for pair in edit_operations(line.truth, line.reading) if pair[0] != pair[1]
    )
    return [(truth, reading, n) for (truth, reading), n in counts.most_common(most)]


def character_scores(lines: Iterable[ReadLine]) -> list[CharacterScore]:
    """Return precision, recall and F1 of every character that was written, the commonest first."""
    written: Counter[str] = Counter()
    read: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for line in lines:
        for truth, reading in edit_operations(line.truth, line.reading):
            written[truth] += 1
            read[reading] += 1
            right[truth] += truth == reading
    scores = []
    for character, count in written.most_common():
        if character:
            precision, recall = right[character] / max(1, read[character]), right[character] / count
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            scores.append(
                CharacterScore(character=character, written=count, precision=precision, recall=recall, f1=f1)
            )
    return scores


def calibrate(lines: Sequence[ReadLine]) -> Calibration:
    """Fit the confidence curve on lines that training did not see."""
    usable = [line for line in lines if line.profile is not None]
    searched = [line.search_log_prob for line in usable if line.search_log_prob is not None]
    return fit(
        [line.log_prob for line in usable],
        [len(line.reading) for line in usable],
        [line.right for line in usable],
        searched if len(searched) == len(usable) > 0 else None,
    )


def recalibrated(evaluation: Evaluation, calibration: Calibration) -> Evaluation:
    """Return the same readings with the confidences of a calibration that `calibrate` fitted.

    Raises:
        ValueError: the calibration is one over best paths, which an evaluation does not keep.
    """
    if calibration.length_slope is None:
        raise ValueError("recalibrated() needs a calibration over texts: length_slope must be set")
    lines = [
        replace(
            line,
            confidence=calibration.confidence(
                log_prob=line.log_prob,
                best_path=line.log_prob,
                num_characters=len(line.reading),
                search_log_prob=line.search_log_prob,
            ),
        )
        if line.profile is not None
        else line
        for line in evaluation.lines
    ]
    return replace(evaluation, lines=lines)


def profile_table(lines: Iterable[ReadLine]) -> pa.Table:
    """Return the profile rows of the lines: the reference that drift is measured against.

    Lines of one page, or where pages are not told of one writer, share a number in the column ``group``.
    """
    rows: list[dict[str, Any]] = []
    groups: dict[tuple[str, str], int] = {}
    for line in lines:
        if line.profile is not None:
            key = line.source, line.page or line.writer or f"line {line.id}"
            rows.append({**line.profile.row(), "group": groups.setdefault(key, len(groups))})
    return pa.Table.from_pylist(rows, schema=REFERENCE_SCHEMA)


def profile_bytes(lines: Iterable[ReadLine]) -> bytes:
    """Return `profile_table` as a Parquet file: the bundle's ``reference.parquet``."""
    out = io.BytesIO()
    pq.write_table(profile_table(lines), out)
    return out.getvalue()
