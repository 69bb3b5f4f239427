"""Drift: a reference profile and recent readings in, a verdict with a stated false-alarm rate out.

Every numeric profile feature goes through the two-sample Kolmogorov-Smirnov test at ``alpha / number of
features`` (Bonferroni). Where nothing drifted and rows are independent, at most a share ``alpha`` of checks says
drift, at any window size; ties (whole numbers, constants) only make it rarer. Evidently computes the p-values and
draws the page. Its own default verdict is not used: it picks tests and limits by the size of the reference.

Two limits of that promise. Lines of one page resemble each other, so a window of few pages counts for less than
its rows and alarms more often. Checks against one reference share its luck, so their alarms come in clusters.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from htr.errors import DataError, SettingsError
from htr.profile import FEATURES, PROFILE_VERSION
from monitoring.verdict import FeatureDrift, Verdict, write_verdict


def compare(
    reference: pa.Table,
    current: pa.Table,
    *,
    out: Path | None,
    alpha: float = 0.01,
    min_rows: int = 100,
    features: Sequence[str] = FEATURES,
    bundle_digest: str | None = None,
) -> Verdict:
    """Say whether recent readings still look like the reference.

    Args:
        reference: profile rows of lines that training did not see.
        current: profile rows, or rows of the prediction log.
        out: folder for verdict and page; None writes nothing.
        alpha: share of undrifted windows that may be called drift.
        min_rows: with fewer current rows there is no verdict but ``not_enough``.
        features: the columns to compare.
        bundle_digest: the model that the verdict is about; by default the one that all current rows name.

    Raises:
        DataError: a feature is missing, empty, or not finite somewhere.
        SettingsError: alpha, min_rows or features make no sense.
        OutputError: ``out`` cannot be written.
    """
    if not 0 < alpha < 1:
        raise SettingsError(f"alpha must lie between 0 and 1, got {alpha}; 0.01 is usual")
    if min_rows < 1 or not features:
        raise SettingsError(f"expected min_rows of 1 or more and a feature, got {min_rows} and {list(features)}")
    before = _columns(reference, "reference profile", features)
    now = _columns(current, "prediction log", features)
    if not len(reference):
        raise DataError("reference profile: no rows; evaluate the model again, which writes its reference")
    wanting = max(0, min_rows - len(current))
    results, page = ((), None) if wanting else _test(before, now, alpha / len(features), draw=out is not None)
    times = pc.min_max(current["time"]).as_py() if "time" in current.column_names else {"min": None, "max": None}
    verdict = Verdict(
        state="not_enough" if wanting else "drift" if any(r.drifted for r in results) else "quiet",
        rows=len(current),
        rows_wanting=wanting,
        reference_rows=len(reference),
        min_rows=min_rows,
        alpha=alpha,
        since=times["min"],
        until=times["max"],
        bundle_digest=_only_digest(current) if bundle_digest is None else bundle_digest,
        features=results,
    )
    if out is not None:
        write_verdict(verdict, out, page)
    return verdict


def read_reference(file: Path) -> pa.Table:
    """Read a reference profile, such as a bundle's ``reference.parquet``.

    Raises:
        DataError: missing, damaged, or of another profile version or of none.
    """
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: not a reference profile ({error}); evaluate the model again") from error
    version = (table.schema.metadata or {}).get(b"profile_version", b"unknown").decode(errors="replace")
    if version != str(PROFILE_VERSION):
        raise DataError(f"{file}: profile version {version}, expected {PROFILE_VERSION}; evaluate the model again")
    return table


def _columns(table: pa.Table, name: str, features: Sequence[str]) -> dict[str, np.ndarray]:
    """Take the features out of a table; Evidently would skip a missing one silently and fail on an empty one."""
    columns = {}
    for feature in features:
        if feature not in table.column_names:
            raise DataError(f"{name}: no column {feature!r} (it has {table.column_names}); read the lines again")
        kind = table.schema.field(feature).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise DataError(f"{name}: column {feature!r} must hold numbers, it holds {kind}; read the lines again")
        values = table[feature].cast(pa.float64()).to_numpy()  # an absent value becomes NaN
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad) and len(bad) == len(values):
            raise DataError(f"{name}: column {feature!r} is empty (no finite number in any row); read lines again")
        if len(bad):
            raise DataError(
                f"{name}: column {feature!r} has {len(bad)} of {len(values)} values that are not finite numbers, "
                f"the first in row {bad[0]} ({values[bad[0]]}); leave those rows out"
            )
        columns[feature] = values
    return columns


def _test(
    before: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray], threshold: float, *, draw: bool
) -> tuple[tuple[FeatureDrift, ...], str | None]:
    """Return each feature's result, most surprising first, and Evidently's page."""
    with warnings.catch_warnings():  # its import deprecates, and a constant column divides by zero in its summary
        warnings.simplefilter("ignore")
        import pandas as pd
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        # One drifted feature is enough for us: this share makes the page's verdict say the same.
        share = 0.5 / len(before)
        preset = DataDriftPreset(num_method="ks", num_threshold=threshold, drift_share=share)
        kinds = DataDefinition(numerical_columns=list(before))
        current, reference = (Dataset.from_pandas(pd.DataFrame(d), data_definition=kinds) for d in (now, before))
        snapshot = Report([preset], include_tests=True).run(current, reference)
        answers: list[dict[str, Any]] = snapshot.dict()["metrics"]
        page = snapshot.get_html_str(as_iframe=False) if draw else None
    p_values = {a["config"]["column"]: float(a["value"]) for a in answers if "column" in a["config"]}
    results = [
        FeatureDrift(
            name=name,
            p_value=p_values[name],
            threshold=threshold,
            drifted=p_values[name] <= threshold,
            reference_median=float(np.median(before[name])),
            current_median=float(np.median(now[name])),
        )
        for name in before
    ]
    return tuple(sorted(results, key=lambda result: result.p_value)), page


def _only_digest(current: pa.Table) -> str:
    digests = set(current["bundle_digest"].to_pylist()) if "bundle_digest" in current.column_names else set()
    return str(digests.pop()) if len(digests) == 1 else ""
