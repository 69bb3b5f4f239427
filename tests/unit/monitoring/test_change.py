from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from monitoring.change import NUM_EXAMPLES, change_point
from monitoring.drift import compare
from tests.fakes import NOON, log_rows, profile_rows
from tests.unit.monitoring.test_drift import paged, with_column

REFERENCE = profile_rows(600, seed=1)


def test_a_verdict_says_since_when_and_shows_readings_from_after_the_change() -> None:
    rows = pa.concat_tables([profile_rows(250, seed=2), profile_rows(150, seed=3, slant=2)])
    verdict, _ = compare(REFERENCE, log_rows(rows, bundle_digest="sha256:ab"))
    assert verdict.changed_since is not None
    assert abs(verdict.changed_since - (NOON + timedelta(seconds=250))) < timedelta(seconds=15)
    assert len({example.request_id for example in verdict.examples}) == NUM_EXAMPLES
    assert all(example.time > verdict.changed_since for example in verdict.examples)
    assert {example.feature for example in verdict.examples} == {"slant"}


def test_a_window_that_drifted_throughout_has_no_moment_of_change() -> None:
    verdict, _ = compare(REFERENCE, log_rows(profile_rows(300, seed=4, slant=2), bundle_digest="sha256:ab"))
    assert (verdict.state, verdict.changed_since) == ("drift", None)


def test_a_change_that_went_away_again_is_not_said_to_have_begun() -> None:
    rows = pa.concat_tables([profile_rows(200, seed=5, slant=2), profile_rows(100, seed=6)])
    assert compare(REFERENCE, log_rows(rows, bundle_digest=""))[0].changed_since is None


@pytest.mark.parametrize("length", [40, 400, 3000])
def test_the_place_of_a_rise_is_found_to_a_few_steps(length: int) -> None:
    rng = np.random.default_rng(length)
    series = rng.normal(size=length) + 3 * (np.arange(length) >= 0.7 * length)
    assert change_point(series) == pytest.approx(0.7 * length, abs=max(3, length / 100))


def test_a_window_of_few_requests_that_differ_but_did_not_change_is_given_no_since() -> None:
    found = {True: 0, False: 0}
    for seed in range(12):
        reference, current = requests(15, seed=seed, slant=np.full(150, 8.0))
        for by_request in found:
            verdict, _ = compare(reference, current, alpha=0.1, by_request=by_request)
            assert verdict.state == "drift"
            found[by_request] += verdict.changed_since is not None
    assert found[True] <= 1
    assert found[False] >= 3, "this is what shuffling requests is there for"


def test_a_change_between_requests_is_dated_by_the_first_row_of_the_request_that_it_began_with() -> None:
    reference, current = requests(30, seed=1, slant=np.repeat([0.0, 8.0], [180, 120]))
    since = compare(reference, current)[0].changed_since
    assert since is not None
    assert (since - NOON).seconds % 10 == 0
    assert abs((since - NOON).seconds - 180) <= 20


def requests(num: int, *, seed: int, slant: npt.NDArray[np.float64]) -> tuple[pa.Table, pa.Table]:
    """Return a reference of 30 pages, and a window of requests of 10 rows each with this much more slant."""
    page, rows = paged(30 + num, seed)
    current = log_rows(rows.slice(0, 10 * num), bundle_digest="sha256:ab")
    current = with_column(current, "slant", (current["slant"].to_numpy() + slant).astype(np.float32))
    current = with_column(current, "request_id", [f"request {n}" for n in page[: 10 * num]])
    return rows.slice(10 * num).append_column("group", pa.array(page[10 * num :])), current


def test_noise_has_a_change_point_hardly_ever() -> None:
    rng = np.random.default_rng(0)
    assert sum(change_point(rng.normal(size=120), seed=n) is not None for n in range(60)) <= 3
    assert change_point(np.zeros(5)) is None
