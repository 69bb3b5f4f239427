"""Error rates of recent readings: estimated from their profiles, and measured where people corrected a sample."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from htr.correction_store import CorrectionStore
from htr.corrections import SAMPLE
from htr.error_model import TRANSFORMS, ErrorModel
from htr.errors import DataError
from htr.importers.corrections import last_words
from htr.metrics import ErrorCounts, bootstrap_ratio, count_errors
from monitoring.columns import take_columns

HARMLESS_RISE = 0.1
"""Relative rise of the estimated error rate over that of the reference that is still called harmless."""

MOST_OUTSIDE = 0.5
"""Share of readings beyond what the estimate was fitted on, above which it says nothing about the rest."""
WIDEST = 5.0
"""An interval whose upper end is so many times its lower one, or more, tells nothing ..."""
NARROW = 0.1
"""... unless it is no wider than this: from 0.1 to 0.9 % tells enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatedError:
    """A character error rate that nobody measured."""

    cer: float
    """As a fraction; may exceed 1."""
    interval: tuple[float, float]
    """Where the rate lies in 90 % of cases like those that the estimate was tried on."""
    reference_cer: float
    """The same estimate for the lines of the reference: what the rate was like at evaluation."""
    harmless: bool
    """The estimate is at most HARMLESS_RISE, relatively, above that of the reference, and is one to go by."""
    cannot_tell: str = ""
    """Why it is none to go by, for people; "" where it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredError:
    """A character error rate on lines that were drawn at random and corrected."""

    cer: float
    interval: tuple[float, float]
    """95 %, by bootstrap over lines."""
    lines: int
    characters: int


def estimate_error(model: ErrorModel, reference: pa.Table, current: pa.Table) -> EstimatedError | None:
    """Estimate the error rate of recent readings; None where there are none.

    Args:
        model: of the bundle that read them.
        reference: profile rows of the lines it was evaluated on.
        current: profile rows, or rows of the prediction log.

    Raises:
        DataError: a column is missing, empty, or not finite somewhere.
    """
    if not len(current) or not len(reference):
        return None
    wanted = (*TRANSFORMS, "num_characters")
    columns = take_columns(current, "prediction log", wanted)
    cer = model.cer(columns)
    interval = model.interval(cer)
    cannot_tell = _why_not(model, interval, model.outside(columns))
    usual = model.cer(take_columns(reference, "reference profile", wanted))
    return EstimatedError(
        cer=cer,
        interval=interval,
        reference_cer=usual,
        harmless=not cannot_tell and cer <= usual * (1 + HARMLESS_RISE),
        cannot_tell=cannot_tell,
    )


def _why_not(model: ErrorModel, interval: tuple[float, float], outside: float) -> str:
    """Say why an estimate is none to go by, "" where it is one."""
    low, high = interval
    if not model.cases:
        return "it was never tried on lines of another kind than it was fitted on"
    if outside > MOST_OUTSIDE:
        return f"{outside:.0%} of the readings are unlike all that it was fitted on"
    if high - low > NARROW and high > WIDEST * low:
        return f"where it was tried it was off so far that the rate may be anything from {low:.1%} to {high:.1%}"
    return ""


def sampled_errors(folder: Path) -> dict[str, list[ErrorCounts]]:
    """Return the errors of each model's readings on lines that were drawn and corrected, the oldest first.

    Lines that a person looked at because of what was read there are left out: they are wrong more often than
    most (docs/decisions/0013).

    Args:
        folder: of the store of corrections.

    Returns:
        By bundle digest; a model without such lines is not there.

    Raises:
        DataError: the store is damaged or of another version.
    """
    found: dict[str, list[ErrorCounts]] = {}
    with CorrectionStore(folder).snapshot() as stored:
        for last, first in last_words(stored):
            if first.chosen_by == SAMPLE:
                found.setdefault(last.bundle_digest, []).append(count_errors(last.new_text, last.old_text))
    return found


def measure_error(folder: Path, bundle_digest: str | None) -> MeasuredError | None:
    """Measure the error rate on a store of corrections; None where it holds no sample of this model's lines.

    Args:
        folder: of the store.
        bundle_digest: of the model that read the lines; None takes any.

    Raises:
        DataError: there is no store, or it is damaged or of another version.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no store of corrections; give the folder that the server got as --corrections")
    sampled = sampled_errors(folder)
    wanted = sampled if bundle_digest is None else [bundle_digest]
    errors = [one for digest in wanted for one in sampled.get(digest, ())]
    if not errors:
        return None
    edits, characters = [one.edits for one in errors], [one.characters for one in errors]
    return MeasuredError(
        cer=sum(edits) / sum(characters),
        interval=bootstrap_ratio(edits, characters),
        lines=len(errors),
        characters=sum(characters),
    )
