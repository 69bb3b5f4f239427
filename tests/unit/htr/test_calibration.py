"""Confidence as a probability."""

import math

import numpy as np
import pytest

from htr.calibration import Calibration, fit


def confidence(curve: Calibration, log_prob: float, num_characters: int = 10) -> float:
    return curve.confidence(log_prob=log_prob, best_path=-1000.0, num_characters=num_characters)


def test_fitted_confidence_matches_how_often_lines_are_right() -> None:
    rng = np.random.default_rng(0)
    log_probs = -np.exp(rng.uniform(-4, 3, 3000))
    lengths = rng.integers(1, 60, 3000)
    against = np.log(-np.expm1(log_probs)) - log_probs
    chance = 1 / (1 + np.exp(1.5 * against - 0.8 * np.log(lengths) - 1))
    right = rng.random(3000) < chance
    curve = fit(log_probs.tolist(), lengths.tolist(), right.tolist())
    errors = [confidence(curve, p, n) - c for p, n, c in zip(log_probs, lengths, chance, strict=True)]
    assert np.abs(errors).mean() < 0.03
    assert curve.length_slope == pytest.approx(0.8, abs=0.15)


def test_a_less_probable_text_is_never_more_trusted() -> None:
    curve = fit([-0.1, -1.0, -5.0, -20.0] * 10, [10] * 40, [True, True, False, False] * 10)
    values = [confidence(curve, p) for p in (-1e-9, -0.1, -1.0, -5.0, -100.0, -math.inf)]
    assert values == sorted(values, reverse=True)


def test_what_the_search_is_sure_of_counts_too() -> None:
    rng = np.random.default_rng(0)
    log_probs, searched = (-np.exp(rng.uniform(-4, 3, 3000)) for _ in range(2))
    against, doubted = np.log(-np.expm1(log_probs)) - log_probs, np.sqrt(-searched)
    chance = 1 / (1 + np.exp(0.5 * against + 1.5 * doubted - 1))
    right = (rng.random(3000) < chance).tolist()
    lengths = [10] * 3000
    curve = fit(log_probs.tolist(), lengths, right, searched.tolist())
    assert curve.search_root_slope == pytest.approx(-1.5, abs=0.15)
    found = [
        curve.confidence(log_prob=p, best_path=p, num_characters=10, search_log_prob=s)
        for p, s in zip(log_probs, searched, strict=True)
    ]
    assert np.abs(np.array(found) - chance).mean() < 0.03
    with pytest.raises(ValueError, match="search_log_prob is missing"):
        curve.confidence(log_prob=-1.0, best_path=-1.0, num_characters=10)


def test_odds_that_point_the_wrong_way_are_left_out() -> None:
    good, bad = [-0.1, -1.0, -5.0, -20.0] * 10, [-20.0, -5.0, -1.0, -0.1] * 10
    right = [True, True, False, False] * 10
    curve = fit(good, [10] * 40, right, bad)
    assert curve.slope < 0
    assert curve.search_root_slope == 0
    other = fit(bad, [10] * 40, right, good)
    assert other.slope == 0
    assert other.search_root_slope is not None
    assert other.search_root_slope < 0


def test_a_curve_over_the_odds_of_a_search_stays_what_it_is() -> None:
    old = Calibration(slope=-0.5, offset=0.25, length_slope=0.0, search_slope=-1.5)
    z = 0.25 - 1.5 * math.log(3.0)  # a text of even odds, which the search gives one share in four
    found = old.confidence(log_prob=-math.log(2), best_path=-1.0, num_characters=10, search_log_prob=-math.log(4))
    assert found == pytest.approx(1 / (1 + math.exp(-z)))
    assert old.to_dict() == {"slope": -0.5, "offset": 0.25, "length_slope": 0.0, "search_slope": -1.5}


@pytest.mark.parametrize("right", [[True] * 20, [False] * 20])
def test_lines_that_are_all_right_or_all_wrong_stay_short_of_certainty(right: list[bool]) -> None:
    curve = fit([-1.0] * 20, [10] * 20, right)
    assert 0.01 < confidence(curve, -1.0) < 0.99


def test_an_order_turned_round_falls_back_to_the_share_of_right_lines() -> None:
    curve = fit([-0.1, -9.0] * 20, [10] * 40, [False, True] * 20)
    assert curve.slope == 0
    assert confidence(curve, -1.0) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("log_prob", [-1e-3, -0.7, -5.0, -50.0])
def test_nothing_to_fit_gives_the_raw_probability_of_the_text(log_prob: float) -> None:
    assert confidence(fit([], [], []), log_prob) == pytest.approx(math.exp(log_prob), abs=1e-9)


def test_a_curve_from_before_the_length_is_one_over_best_paths() -> None:
    old = Calibration(**{"slope": -1.5, "offset": 0.25})
    z = -1.5 * math.log(2.0) + 0.25
    found = old.confidence(log_prob=-0.5, best_path=-2.0, num_characters=7)
    assert found == pytest.approx(1 / (1 + math.exp(-z)))
    assert old.to_dict() == {"slope": -1.5, "offset": 0.25}


@pytest.mark.parametrize("scale", [0.0, 3.0, 5.0])
def test_the_mean_confidence_is_the_share_of_right_lines_at_any_scale(scale: float) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        log_probs = -np.exp(rng.normal(scale, 1, 400))
        lengths = rng.integers(1, 60, 400)
        right = rng.random(400) < 1 / (1 + np.exp(np.log(-log_probs) - scale - 2))
        curve = fit(log_probs.tolist(), lengths.tolist(), right.tolist())
        mean = np.mean([confidence(curve, p, n) for p, n in zip(log_probs, lengths, strict=True)])
        assert mean == pytest.approx(right.mean(), abs=0.01)
