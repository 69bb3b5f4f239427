"""What a confidence is worth."""

import json
from dataclasses import replace

import numpy as np
import pytest

from htr.confidence import calibration_error, reject_curve, reliability, share_interval, wilson
from htr.confidence_figures import confidence_figures
from htr.evaluate import ReadLine
from htr.metrics import count_errors
from htr.profile import EMBEDDING_SIZE, FEATURES, Profile

PROFILE = Profile(**dict.fromkeys(FEATURES, 0.5), embedding=(0.5,) * EMBEDDING_SIZE)


def read_line(number: int, confidence: float, *, wrong: int = 0, split: str = "test") -> ReadLine:
    truth = "a" * 10
    reading = "b" * wrong + truth[wrong:]
    return ReadLine(
        id=f"{split}-{number}",
        split=split,
        source="s",
        language="fra",
        truth=truth,
        reading=reading,
        log_prob=-1.0,
        errors=count_errors(truth, reading),
        profile=PROFILE,
        confidence=confidence,
    )


def drawn(number: int, seed: int, *, overconfidence: float = 1.0) -> tuple[list[float], list[bool]]:
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, number)
    right = rng.random(number) < 1 / (1 + np.exp(-z))
    return (1 / (1 + np.exp(-overconfidence * z))).tolist(), right.tolist()


def test_bins_hold_about_equally_many_lines_and_all_of_them() -> None:
    confidences, right = drawn(997, 0)
    bins = reliability(confidences, right)
    assert [one.lines for one in bins] == pytest.approx([99.7] * 10, abs=1.5)
    assert sum(one.lines for one in bins) == 997
    assert sum(one.lines * one.right for one in bins) == pytest.approx(sum(right))
    assert all(one.right_interval[0] <= one.right <= one.right_interval[1] for one in bins)


def test_equal_confidences_share_a_bin_in_any_order() -> None:
    right = [True] * 5 + [False] * 5
    (one,) = reliability([0.5] * 10, right)
    assert (one.lines, one.confidence, one.right) == (10, 0.5, 0.5)
    assert calibration_error([0.5] * 10, right).ece == 0
    assert reliability([], []) == []


def test_the_calibration_error_is_the_mean_gap_over_the_bins() -> None:
    found = calibration_error([0.1] * 10 + [0.8] * 10, [False] * 10 + [True] * 7 + [False] * 3)
    assert found.ece == pytest.approx((0.1 + 0.1) / 2)


def test_true_confidences_stay_within_chance_and_false_ones_do_not() -> None:
    honest = calibration_error(*drawn(1000, 1))
    assert 0 < honest.ece < honest.chance_limit
    assert honest.by_chance == pytest.approx(0.03, abs=0.01)
    boasting = calibration_error(*drawn(1000, 1, overconfidence=3.0))
    assert boasting.ece > 2 * boasting.chance_limit
    assert boasting.interval[0] < boasting.ece < boasting.interval[1]


def test_no_lines_have_no_error() -> None:
    assert calibration_error([], []).ece == 0
    assert share_interval([], [], []) == (1.0, 1.0)


def test_confidences_and_truths_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="as many truths"):
        reliability([0.5], [])


def test_the_least_confident_lines_are_checked_first() -> None:
    curve = reject_curve([0.9, 0.1, 0.5, 0.7], edits=[0, 6, 2, 0], characters=[10, 10, 10, 10])
    assert curve.checked.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.rest_cer.tolist() == pytest.approx([8 / 40, 2 / 30, 0, 0, 0])
    assert curve.whole_cer.tolist() == pytest.approx([8 / 40, 2 / 40, 0, 0, 0])
    assert (curve.share(0.01), curve.share(0.07), curve.share(0.2)) == (0.5, 0.25, 0.0)
    assert curve.share_of_whole(0.05) == 0.25
    assert curve.at_threshold(0.6) == (0.5, 0.0)
    assert curve.at_threshold(0.5) == (0.25, pytest.approx(2 / 30))
    assert curve.at_threshold(np.inf) == (1.0, 0.0)


def test_lines_of_equal_confidence_are_checked_together() -> None:
    curve = reject_curve([0.5, 0.5, 0.9], edits=[0, 5, 0], characters=[10, 10, 10])
    assert curve.checked.tolist() == pytest.approx([0, 2 / 3, 1])
    assert curve.share() == pytest.approx(2 / 3)


def test_where_even_the_surest_line_is_wrong_all_must_be_checked() -> None:
    curve = reject_curve([0.9, 0.1], edits=[1, 1], characters=[10, 10])
    assert curve.share() == 1.0
    assert share_interval([0.9, 0.1], [1, 1], [10, 10]) == (1.0, 1.0)


def test_a_share_lies_within_its_interval() -> None:
    rng = np.random.default_rng(0)
    confidences = rng.random(400)
    edits = (rng.random(400) > confidences).astype(int)
    columns = (confidences.tolist(), edits.tolist(), [20] * 400)
    low, high = share_interval(*columns)
    assert low < reject_curve(*columns).share() < high
    assert high - low < 0.5


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-3)


def test_a_threshold_is_chosen_on_the_validation_lines() -> None:
    validation = [read_line(0, 0.9), read_line(1, 0.6), read_line(2, 0.4, wrong=3)]
    lines = [read_line(0, 0.95), read_line(1, 0.7, wrong=1), read_line(2, 0.5), read_line(3, 0.2, wrong=5)]
    found = confidence_figures(lines, validation)
    assert found.checked_share == 0.75
    assert found.threshold is not None
    assert (found.threshold.accept_at, found.threshold.checked_share) == (0.6, 0.5)
    assert found.threshold.rest_cer == pytest.approx(1 / 20)


def test_a_line_that_could_not_be_decoded_is_checked_first_and_judges_no_confidence() -> None:
    lines = [read_line(0, 0.0), replace(read_line(1, 0.0, wrong=10), profile=None)]
    found = confidence_figures(lines)
    assert (found.lines, found.checked_share) == (1, 0.5)


def test_the_report_can_hold_the_figures_whatever_they_are() -> None:
    lines = [read_line(n, n / 50, wrong=int(n < 30)) for n in range(50)]
    never = [read_line(0, 0.9, wrong=1)]
    for figures in (confidence_figures([]), confidence_figures(lines), confidence_figures(lines, never)):
        found = json.loads(json.dumps(figures.to_dict(), allow_nan=False))
        assert {len(found["reject_curve"][name]) for name in found["reject_curve"]} == {101}
        assert found["reject_curve"]["checked_share"][-1] == 1
    assert found["threshold"] == {"accept_at": None, "checked_share": 1.0, "rest_cer": 0.0}
