"""An estimate of the error rate is given where there is one to go by; otherwise it says that it cannot tell."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from htr.error_model import Case, ErrorModel, Term
from monitoring.drift import compare
from monitoring.error_rate import EstimatedError, estimate_error
from monitoring.governor.metrics import verdict_metrics
from monitoring.screen import print_verdict
from monitoring.sequence import Window
from tests.fakes import NOON, profile_rows

REFERENCE = profile_rows(300, seed=1)
CURVE = Term(feature="space_share", lowest=-9.0, highest=99.0, mean=9.0, scale=9.0, slope=0.1, curve=0.0)
TRIED = Case(name="source a", lines=50, estimated=0.2, measured=0.21)
MODEL = ErrorModel(offset=-1.5, terms=(CURVE,), spread=0.2, cases=(TRIED,), fitted_rows=900)


def estimated(model: ErrorModel, **changes: float) -> EstimatedError:
    found = estimate_error(model, REFERENCE, profile_rows(200, seed=2, **changes))
    assert found is not None
    return found


def test_an_estimate_of_lines_like_those_that_it_was_tried_on_is_one_to_go_by() -> None:
    found = estimated(MODEL)
    assert found.cannot_tell == ""
    assert found.harmless


@pytest.mark.parametrize(
    ("model", "changes", "why"),
    [
        (MODEL, {"space_share": 400.0}, "unlike all that it was fitted on"),
        (replace(MODEL, cases=()), {}, "never tried on lines of another kind"),
        (replace(MODEL, spread=1.0), {}, "the rate may be anything from"),
    ],
)
def test_where_an_estimate_is_none_to_go_by_it_says_why_and_calls_nothing_harmless(
    model: ErrorModel, changes: dict[str, float], why: str
) -> None:
    found = estimated(model, **changes)
    assert why in found.cannot_tell
    assert not found.harmless


def test_a_wide_interval_of_a_small_rate_still_tells_that_it_is_small() -> None:
    found = estimated(replace(MODEL, offset=-7.0, spread=0.6))
    low, high = found.interval
    assert high > 5 * low
    assert found.cannot_tell == ""


def test_what_cannot_be_told_is_shown_so_and_makes_no_metric_that_an_alert_rests_on() -> None:
    unknown = estimated(replace(MODEL, cases=()))
    verdict, _ = compare(REFERENCE, profile_rows(150, seed=3), estimated=unknown, bundle_digest="sha256:a")
    said: list[str] = []
    print_verdict(verdict, out=Path("out"), say=said.append)
    assert [line for line in said if line.startswith("estimated CER: cannot tell, since it was never tried")]
    assert Window.of(verdict, NOON).estimated_cer is None
    written: dict[str, Any] = json.loads(json.dumps(verdict.to_dict()))
    names = {metric.name for metric in verdict_metrics(written, 0.0)}
    assert "quillflow_estimated_cer_unknown" in names
    assert "quillflow_estimated_cer_low" not in names
