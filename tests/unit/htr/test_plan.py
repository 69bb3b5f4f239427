"""Which lines are shown, in what order, and how fast the learning rate falls."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from htr.plan import Plan, cosine_with_warmup, judged_together


def test_corrected_lines_are_repeated_up_to_their_share() -> None:
    plan = Plan.of(
        [40] * 110, corrected=[True] * 10 + [False] * 100,
        max_lines=1000, batch_size=8, seed=1, correction_share=0.5,
    )  # fmt: skip
    assert plan.repeats[0] == 10
    assert plan.repeats[-1] == 1
    assert plan.epochs == 5
    shown = [i for batch in plan.epoch(0) for i in batch]
    assert sum(i < 10 for i in shown) == len(shown) / 2


@given(
    widths=st.lists(st.integers(16, 900), min_size=1, max_size=150),
    ranks=st.integers(1, 4),
    batch_size=st.integers(1, 8),
)
def test_devices_get_equally_many_batches_and_every_line_is_shown(
    widths: list[int], ranks: int, batch_size: int
) -> None:
    plan = Plan.of(
        widths, corrected=[False] * len(widths), max_lines=len(widths),
        batch_size=batch_size, seed=1, correction_share=0.4, ranks=ranks,
    )  # fmt: skip
    batches = plan.epoch(0)
    assert len(batches) == plan.batches_per_epoch * ranks
    assert {i for batch in batches for i in batch} == set(range(len(widths)))
    assert all(0 < len(batch) <= batch_size for batch in batches)


def test_devices_learn_from_lines_of_about_one_width_at_a_time() -> None:
    widths = list(range(100, 900))
    plan = Plan.of(
        widths, corrected=[False] * 800, max_lines=800, batch_size=8, seed=1, correction_share=0.4, ranks=2
    )  # fmt: skip
    batches = plan.epoch(0)
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        assert abs(max(widths[i] for i in first) - max(widths[i] for i in second)) < 20


def test_a_budget_below_one_epoch_is_kept() -> None:
    plan = Plan.of([40] * 1000, corrected=[False] * 1000, max_lines=80, batch_size=8, seed=1, correction_share=0.5)
    assert sum(map(len, plan.epoch(0))) == 80 == plan.total_lines


def test_the_learning_rate_rises_then_falls() -> None:
    factors = [cosine_with_warmup(step, total=100, warmup_share=0.1) for step in range(100)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert max(factors) == 1.0
    assert factors[-1] == pytest.approx(0.01, abs=0.01)


@given(lines=st.integers(1, 80), ranks=st.integers(1, 6), batch_size=st.integers(1, 16))
def test_every_device_judges_some_validation_lines(lines: int, ranks: int, batch_size: int) -> None:
    assume(lines >= ranks)
    batches = judged_together([7 * n % 100 for n in range(lines)], batch_size, ranks)
    assert all(batches[rank::ranks] for rank in range(ranks))
    assert sorted(i for batch in batches for i in batch) == list(range(lines))
    assert all(len(batch) <= batch_size for batch in batches)
