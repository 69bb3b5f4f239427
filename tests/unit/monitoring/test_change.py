from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from monitoring.change import NUM_EXAMPLES, change_point
from monitoring.drift import compare
from tests.fakes import NOON, log_rows, profile_rows

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


def test_noise_has_a_change_point_hardly_ever() -> None:
    rng = np.random.default_rng(0)
    assert sum(change_point(rng.normal(size=120), seed=n) is not None for n in range(60)) <= 3
    assert change_point(np.zeros(5)) is None
