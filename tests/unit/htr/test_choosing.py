"""What a choice of lines promises, whatever the lines are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htr.choosing import FILTER, Choice, choose

unit = st.floats(0, 1)
pools = st.integers(0, 40).flatmap(
    lambda n: st.tuples(
        st.lists(unit, min_size=n, max_size=n),
        st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=n, max_size=n),
    )
)


def of(choices: list[Choice], why: str) -> list[int]:
    return [one.index for one in choices if one.why == why]


def points(values: list[list[float]]) -> np.ndarray:
    return np.array(values, np.float64).reshape(len(values), 3)


@given(pools, st.integers(0, 50), unit, st.integers(0, 9))
def test_as_many_as_wanted_each_once_and_the_same_again(
    pool: tuple[list[float], list[list[float]]], count: int, share: float, seed: int
) -> None:
    confidences, vectors = pool
    found = choose(confidences, points(vectors), count=count, control_share=share, seed=seed)
    assert len(found) == len({one.index for one in found}) == min(count, len(confidences))
    assert found == choose(confidences, points(vectors), count=count, control_share=share, seed=seed)


@given(pools, st.integers(0, 50), unit, st.integers(0, 9), st.randoms(use_true_random=False))
def test_what_was_read_has_no_say_in_the_controls(
    pool: tuple[list[float], list[list[float]]], count: int, share: float, seed: int, random: object
) -> None:
    confidences, vectors = pool
    first = choose(confidences, points(vectors), count=count, control_share=share, seed=seed)
    again = choose(confidences[::-1], points(vectors) * 7, count=count, control_share=share, seed=seed)
    assert of(first, "control") == of(again, "control")


@given(pools, st.integers(1, 30), unit, st.integers(0, 9))
def test_a_control_stays_one_when_more_are_wanted_and_others_are_gone(
    pool: tuple[list[float], list[list[float]]], count: int, share: float, seed: int
) -> None:
    confidences, vectors = pool
    names = [f"line {place}" for place in range(len(confidences))]
    drawn = points(vectors)
    few = choose(confidences, drawn, count=count, control_share=share, seed=seed, names=names)
    gone = set(of(few, "uncertain"))
    left = [place for place in range(len(names)) if place not in gone]
    rest = choose(
        [confidences[place] for place in left],
        drawn[left],
        count=len(left),
        control_share=share,
        seed=seed,
        names=[names[place] for place in left],
    )
    controls = {names[left[place]] for place in of(rest, "control")}
    everything = choose(confidences, drawn, count=len(names), control_share=share, seed=seed, names=names)
    assert controls == {names[place] for place in of(everything, "control")}


@given(pools, st.integers(1, 10))
def test_what_is_left_out_as_sure_is_surer_than_what_was_filtered_in(
    pool: tuple[list[float], list[list[float]]], count: int
) -> None:
    confidences, vectors = pool
    found = of(choose(confidences, points(vectors), count=count, control_share=0.0, seed=0), "uncertain")
    unsure = sorted(confidences)[: FILTER * count]
    assert all(confidences[index] <= unsure[-1] for index in found)
    if confidences:
        assert confidences[found[0]] == min(confidences)


def test_of_copies_only_one_is_chosen_while_there_is_something_else() -> None:
    vectors = np.array([[0.0, 0.0]] * 10 + [[5.0, 0.0], [0.0, 5.0]])
    confidences = [0.1] * 10 + [0.3, 0.4]
    found = choose(confidences, vectors, count=3, control_share=0.0, seed=0)
    assert {one.index for one in found} == {0, 10, 11}


def test_a_column_in_large_units_weighs_no_more() -> None:
    rng = np.random.default_rng(3)
    vectors, confidences = rng.normal(size=(60, 2)), rng.random(60).tolist()
    scaled = vectors * [1.0, 1e6] + [0.0, 5e3]
    one, other = (choose(confidences, points, count=9, control_share=0.2, seed=1) for points in (vectors, scaled))
    assert one == other


def test_without_vectors_the_least_confident_come_first() -> None:
    found = choose([0.9, 0.1, 0.5], np.empty((3, 0)), count=2, control_share=0.0, seed=0)
    assert found == [Choice(1, "uncertain"), Choice(2, "uncertain")]


def test_controls_have_their_share_and_the_confidences_of_all_lines() -> None:
    rng = np.random.default_rng(5)
    confidences = rng.random(4000)
    found = choose(confidences.tolist(), rng.normal(size=(4000, 2)), count=500, control_share=0.2, seed=2)
    controls, unsure = of(found, "control"), of(found, "uncertain")
    assert (len(controls), len(unsure)) == (100, 400)
    assert abs(confidences[controls].mean() - 0.5) < 3 * np.sqrt(1 / 12 / 100)
    assert confidences[unsure].max() < 0.6
    firsts = [one.why for one in found[:100]]
    assert 8 <= firsts.count("control") <= 35  # spread, not at one end


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidences": [0.5, float("nan")]}, "within 0..1"),
        ({"confidences": [0.5, 1.1]}, "within 0..1"),
        ({"confidences": [0.5]}, "expected a confidence, a vector"),
        ({"vectors": [[1.0], [float("inf")]]}, "finite"),
        ({"vectors": [1.0, 2.0]}, "shape"),
        ({"count": -1}, "count"),
        ({"control_share": 1.5}, "control_share"),
        ({"names": ["a", "a"]}, "the same"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], message: str) -> None:
    sent = {"confidences": [0.5, 0.4], "vectors": [[1.0], [2.0]], "count": 1, "control_share": 0.1, "seed": 0}
    with pytest.raises(ValueError, match=message):
        choose(**{**sent, **changes})  # type: ignore[arg-type]
