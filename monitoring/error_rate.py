"""Error rates of recent readings: estimated from their profiles, and measured where people corrected a sample."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from htr.correction_store import CorrectionStore
from htr.corrections import SAMPLE
from htr.error_model import TRANSFORMS, ErrorModel
from htr.errors import DataError
from htr.importers.corrections import last_words
from htr.metrics import bootstrap_ratio, count_errors
from monitoring.columns import take_columns

HARMLESS_RISE = 0.1
"""Relative rise of the estimated error rate over that of the reference that is still called harmless."""


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
    """The estimate is at most HARMLESS_RISE, relatively, above that of the reference."""


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
    cer = model.cer(take_columns(current, "prediction log", wanted))
    usual = model.cer(take_columns(reference, "reference profile", wanted))
    return EstimatedError(
        cer=cer,
        interval=model.interval(cer),
        reference_cer=usual,
        harmless=cer <= usual * (1 + HARMLESS_RISE),
    )


def measure_error(folder: Path, bundle_digest: str | None) -> MeasuredError | None:
    """Measure the error rate on a store of corrections; None where it holds no sample of this model's lines.

    Lines that a person looked at because of what was read there are left out: they are wrong more often than
    most (docs/decisions/0013).

    Args:
        folder: of the store.
        bundle_digest: of the model that read the lines; None takes any.

    Raises:
        DataError: there is no store, or it is damaged or of another version.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no store of corrections; give the folder that the server got as --corrections")
    stored, _ = CorrectionStore(folder).read()
    errors = [
        count_errors(last.new_text, last.old_text)
        for last, first in last_words(stored)
        if first.chosen_by == SAMPLE and bundle_digest in (None, last.bundle_digest)
    ]
    if not errors:
        return None
    edits, characters = [one.edits for one in errors], [one.characters for one in errors]
    return MeasuredError(
        cer=sum(edits) / sum(characters),
        interval=bootstrap_ratio(edits, characters),
        lines=len(errors),
        characters=sum(characters),
    )
