"""Error rates that add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htr.metrics import ErrorCounts, bootstrap_ratio, count_errors, edit_operations, paired_bootstrap

texts = st.text(alphabet="ab c", max_size=8)


def test_counts_of_a_known_pair() -> None:
    counts = count_errors("the cat", "the bad")
    assert (counts.edits, counts.characters, counts.word_edits, counts.words, counts.exact) == (2, 7, 1, 2, 0)


@given(st.lists(st.tuples(texts, texts), max_size=12), st.integers(0, 12))
def test_parts_add_up_to_the_whole(pairs: list[tuple[str, str]], cut: int) -> None:
    counts = [count_errors(truth, reading) for truth, reading in pairs]
    parts = sum(counts[:cut], ErrorCounts()) + sum(counts[cut:], ErrorCounts())
    assert parts == sum(counts, ErrorCounts())


@given(texts, texts)
def test_aligned_pairs_spell_both_texts_and_count_the_edits(truth: str, reading: str) -> None:
    pairs = edit_operations(truth, reading)
    assert "".join(left for left, _ in pairs) == truth
    assert "".join(right for _, right in pairs) == reading
    assert sum(left != right for left, right in pairs) == count_errors(truth, reading).edits


def test_an_interval_holds_the_rate_and_narrows_with_more_lines() -> None:
    few = bootstrap_ratio([1, 0, 2, 0] * 5, [10] * 20)
    many = bootstrap_ratio([1, 0, 2, 0] * 100, [10] * 400)
    assert few[0] < 0.075 < few[1]
    assert many[1] - many[0] < few[1] - few[0]


def test_pairing_cancels_what_is_hard_for_both() -> None:
    hard = [0, 9] * 50
    better = [max(0, e - 1) for e in hard]
    difference, low, high = paired_bootstrap(better, hard, [10] * 100)
    assert difference == pytest.approx(-0.05)
    assert low < difference < high < 0


def test_a_tie_has_an_interval_around_zero() -> None:
    assert paired_bootstrap([1, 2], [1, 2], [5, 5]) == (0.0, 0.0, 0.0)


def test_no_lines_have_no_errors() -> None:
    assert ErrorCounts().cer == 0.0
    assert bootstrap_ratio([], []) == (0.0, 0.0)
