"""Drift: a reference profile and recent readings in, a verdict with a stated false-alarm rate out.

The alarm rests on `monitoring.shift_test`: the largest shift of any profile feature and a kernel distance of the
encoder's embeddings, both calibrated by shuffling the rows of reference and window at the very sizes they have.
Where nothing drifted and rows (or requests) are independent, at most a share ``alpha`` of checks says drift.
Evidently draws the page that people look at.

Checks against one reference share its luck, so their false alarms come in clusters; see docs/drift.md.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from htr.errors import DataError, SettingsError
from htr.profile import AS_SENT, EMBEDDING, FEATURES
from monitoring.change import Change, contributions, find_change
from monitoring.columns import Columns, take_columns
from monitoring.error_rate import EstimatedError, MeasuredError
from monitoring.evidently_page import draw_page
from monitoring.feature_drift import along_embedding, tell_embedding, tell_features
from monitoring.grouping import MIN_GROUPS, count_requests, group_rows, requests_of
from monitoring.scores import feature_scores, kernel_scores, stacked, whitened
from monitoring.shift_test import draw_partings, find_shift
from monitoring.verdict import EMBEDDING_NAME, Verdict

WATCHED = FEATURES[len(AS_SENT) :]
"""Features whose drift is an alarm: what the network is shown, and what it makes of it."""
LEAST_ALPHA = 1e-3
"""Below it the partings become too many."""


def compare(
    reference: pa.Table,
    current: pa.Table,
    *,
    alpha: float = 0.01,
    min_rows: int = 100,
    features: Sequence[str] = WATCHED,
    by_request: bool = True,
    bundle_digest: str | None = None,
    estimated: EstimatedError | None = None,
    measured: MeasuredError | None = None,
    draw: bool = False,
) -> tuple[Verdict, str | None]:
    """Say whether recent readings still look like the reference.

    Args:
        reference: profile rows of lines that training did not see.
        current: profile rows, or rows of the prediction log, oldest first.
        alpha: share of undrifted windows that may be called drift.
        min_rows: with fewer current rows there is no verdict but ``not_enough``.
        features: the columns to compare, beside the embedding.
        by_request: take only whole requests for independent, where they bring several lines; see
            `monitoring.grouping`.
        bundle_digest: the model that the verdict is about; by default the one that all current rows name.
        estimated: error rate to put beside the verdict.
        measured: the same.
        draw: make Evidently's page, too, where there are enough rows.

    Returns:
        The verdict, and the page as HTML or None.

    Raises:
        DataError: a feature is missing, empty, or not finite somewhere.
        SettingsError: alpha, min_rows or features make no sense.
    """
    if not LEAST_ALPHA <= alpha < 1:
        raise SettingsError(f"alpha must lie between {LEAST_ALPHA} and 1, got {alpha}; 0.01 is usual")
    if min_rows < 1 or not features:
        raise SettingsError(f"expected min_rows of 1 or more and a feature, got {min_rows} and {list(features)}")
    before, now = (
        take_columns(table, name, (*features, *AS_SENT, *EMBEDDING))
        for table, name in ((reference, "reference profile"), (current, "prediction log"))
    )
    if not len(reference):
        raise DataError("reference profile: no rows; evaluate the model again, which writes its reference")
    times = pc.min_max(current["time"]).as_py() if "time" in current.column_names else {"min": None, "max": None}
    told = Verdict(
        state="not_enough",
        rows=len(current),
        rows_wanting=max(0, min_rows - len(current)),
        reference_rows=len(reference),
        min_rows=min_rows,
        alpha=alpha,
        since=times["min"],
        until=times["max"],
        bundle_digest=_only_digest(current) if bundle_digest is None else bundle_digest,
        features=(),
        groups=count_requests(current),
        estimated=estimated,
        measured=measured,
    )
    if told.rows_wanting:
        return told, None
    verdict, threshold = _judged(told, before, now, reference, current, features, by_request=by_request)
    if not draw or verdict.state == "not_enough":
        return verdict, None
    shown = (*features, *AS_SENT)
    drawn = [{name: side[name] for name in shown} for side in (before, now)]
    return verdict, draw_page(drawn[0], drawn[1], threshold, drifted=verdict.state == "drift")


def _judged(
    told: Verdict,
    before: Columns,
    now: Columns,
    reference: pa.Table,
    current: pa.Table,
    features: Sequence[str],
    *,
    by_request: bool,
) -> tuple[Verdict, float]:
    """Fill the verdict in; return it with the p-value at which a feature counts as drifted."""
    grouping = group_rows(reference, current, by_request=by_request)
    if grouping.shuffled == "groups" and told.groups < MIN_GROUPS:
        wanting = -(-len(current) * (MIN_GROUPS - told.groups) // told.groups)
        return replace(told, shuffled="groups", rows_wanting=wanting), 0.0
    tested = {
        name: _joined(before[name][grouping.reference_rows], now[name][grouping.window_rows]) for name in now
    }
    fitted, scores_SN = feature_scores({name: tested[name] for name in features})
    embedding_ND = whitened(stacked(tested, EMBEDDING))
    masks_BN = draw_partings(grouping.group, grouping.num_groups_now, alpha=told.alpha)
    shift = find_shift(scores_SN, kernel_scores(embedding_ND), masks_BN, alpha=told.alpha)
    _, sent_SN = feature_scores({name: tested[name] for name in AS_SENT})
    sent = find_shift(sent_SN, np.zeros((0, sent_SN.shape[1]), np.float32), masks_BN, alpha=told.alpha)
    found = [
        *tell_features(features, shift, before, now, tested, len(grouping.reference_rows)),
        tell_embedding(embedding_ND, shift, len(grouping.reference_rows)),
    ]
    ordered = tuple(sorted(found, key=lambda one: (one.p_value, -abs(one.shift))))
    drifted = [one.name for one in ordered if one.drifted]
    change = Change(since=None, examples=())
    if drifted:
        shifts = dict(zip(features, shift.feature_shifts, strict=True))
        parts = contributions(now, fitted, shifts, [name for name in drifted if name != EMBEDDING_NAME])
        if EMBEDDING_NAME in drifted:
            parts[EMBEDDING_NAME] = along_embedding(before, now)
        change = find_change(current, parts, group=requests_of(current) if grouping.shuffled == "groups" else None)
    verdict = replace(
        told,
        state="drift" if drifted else "quiet",
        features=ordered,
        p_value=shift.p_value,
        tested_rows=len(grouping.window_rows),
        shuffled=grouping.shuffled,
        as_sent=tell_features(AS_SENT, sent, before, now, tested, len(grouping.reference_rows)),
        changed_since=change.since,
        examples=change.examples,
    )
    return verdict, shift.threshold


def _joined(before: npt.NDArray[np.floating], now: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    return np.concatenate([before, now], dtype=np.float64)


def _only_digest(current: pa.Table) -> str:
    digests = current["bundle_digest"].unique().to_pylist() if "bundle_digest" in current.column_names else []
    return str(digests[0]) if len(digests) == 1 else ""
