"""Confidence as a probability."""

import numpy as np
import pytest

from htr.calibration import Calibration, fit


def test_fitted_confidence_matches_how_often_lines_are_right() -> None:
    rng = np.random.default_rng(0)
    log_probs = -np.exp(rng.uniform(-4, 3, 3000))
    chance = 1 / (1 + np.exp(1.5 * np.log(-log_probs) + 1))
    right = rng.random(3000) < chance
    curve = fit(log_probs.tolist(), right.tolist())
    errors = [curve.confidence(p) - c for p, c in zip(log_probs, chance, strict=True)]
    assert np.abs(errors).mean() < 0.03


def test_a_less_probable_path_is_never_more_trusted() -> None:
    curve = fit([-0.1, -1.0, -5.0, -20.0] * 10, [True, True, False, False] * 10)
    values = [curve.confidence(p) for p in (-1e-9, -0.1, -1.0, -5.0, -100.0)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("right", [[True] * 20, [False] * 20])
def test_lines_that_are_all_right_or_all_wrong_stay_short_of_certainty(right: list[bool]) -> None:
    curve = fit([-1.0] * 20, right)
    assert 0.01 < curve.confidence(-1.0) < 0.99


def test_an_order_turned_round_falls_back_to_the_share_of_right_lines() -> None:
    curve = fit([-0.1, -9.0] * 20, [False, True] * 20)
    assert curve.slope == 0
    assert curve.confidence(-1.0) == pytest.approx(0.5, abs=0.05)


def test_nothing_to_fit_gives_the_default() -> None:
    assert fit([], []) == Calibration()


@pytest.mark.parametrize("scale", [0.0, 3.0, 5.0])
def test_the_mean_confidence_is_the_share_of_right_lines_at_any_scale(scale: float) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        log_probs = -np.exp(rng.normal(scale, 1, 400))
        right = rng.random(400) < 1 / (1 + np.exp(np.log(-log_probs) - scale - 2))
        curve = fit(log_probs.tolist(), right.tolist())
        mean = np.mean([curve.confidence(p) for p in log_probs])
        assert mean == pytest.approx(right.mean(), abs=0.01)
