import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.rollout.evidence import log_one_rate, log_two_rates


def test_evidence_grows_with_the_difference_and_with_the_counts_and_not_within_the_margin() -> None:
    assert log_two_rates((10, 100), (100, 1000), 0.05) < 0
    assert log_two_rates((14, 100), (100, 1000), 0.05) < 0
    some, more = log_two_rates((30, 100), (100, 1000), 0.05), log_two_rates((300, 1000), (1000, 10_000), 0.05)
    assert 0 < some < more
    assert log_two_rates((0, 0), (5, 10), 0.0) == 0.0
    assert log_two_rates((5, 5), (0, 0), 0.0) < 0, "nothing to compare with is no evidence"
    assert log_one_rate((90, 100), 0.3) > 20
    assert log_one_rate((30, 100), 0.3) < 0


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 2000), st.integers(0, 2000), st.floats(0, 0.5))
def test_the_null_is_given_its_best(a: int, b: int, c: int, d: int, margin: float) -> None:
    canary, stable = (min(a, b), max(a, b)), (min(c, d), max(c, d))
    if not canary[1]:
        return
    found = log_two_rates(canary, stable, margin)

    def fit(hits: int, of: int, rate: float) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = [hits * math.log(rate) if rate > 0 else -math.inf * hits if hits else 0.0] if hits else [0.0]
            misses = of - hits
            parts += [misses * math.log1p(-rate) if rate < 1 else -math.inf] if misses else [0.0]
        return sum(parts)

    from monitoring.rollout.evidence import _log_mixture

    mixture = _log_mixture(*canary) + _log_mixture(*stable)
    grid = [number / 200 for number in range(201)]
    for base in grid:
        for worse in (0.0, margin / 2, margin):
            rate = min(1.0, base + worse)
            assert mixture - fit(*canary, rate) - fit(*stable, base) >= found - 1e-6


def test_however_often_somebody_looks_false_alarms_stay_below_alpha() -> None:
    rng, alpha, alarms, tries = np.random.default_rng(5), 0.2, 0, 400
    for _ in range(tries):
        canary, stable = np.cumsum(rng.random(400) < 0.15), np.cumsum(rng.random(400) < 0.10)
        looks = range(4, 400, 4)
        alarms += any(
            log_two_rates((int(canary[n]), n + 1), (int(stable[n]), n + 1), 0.05) >= math.log(1 / alpha)
            for n in looks
        )
    assert alarms <= alpha * tries, "worse by the margin exactly, looked at a hundred times"


@pytest.mark.parametrize("counts", [(2, 1), (-1, 5)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="hits <= all"):
        log_one_rate(counts, 0.5)
