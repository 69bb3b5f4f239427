"""Best-path decoding."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htr.ctc import best_path, steps_needed
from htr.errors import ShapeError


def scores(classes: list[int], num_classes: int = 4) -> np.ndarray:
    table = np.full((len(classes), num_classes), -5.0, np.float32)
    table[np.arange(len(classes)), classes] = -0.1
    return table


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [([0, 0], []), ([1, 1], [1]), ([1, 0, 1], [1, 1]), ([1, 2, 2, 0, 3], [1, 2, 3]), ([3], [3])],
)
def test_repeats_collapse_before_blanks_are_dropped(steps: list[int], wanted: list[int]) -> None:
    assert best_path(scores(steps)).class_ids == wanted


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_it_agrees_with_the_definition(steps: list[int]) -> None:
    path = best_path(scores(steps))
    assert path.class_ids == [key for key, _ in itertools.groupby(steps) if key != 0]
    assert path.log_prob == pytest.approx(-0.1 * len(steps), rel=1e-4)
    assert [steps[s] for s in path.steps] == path.class_ids


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match="shape"):
        best_path(np.zeros((2, 3, 4), np.float32))


def test_equal_neighbours_need_a_step_between_them() -> None:
    assert [steps_needed(text) for text in ("", "ab", "aab", "aaa")] == [0, 2, 4, 5]
