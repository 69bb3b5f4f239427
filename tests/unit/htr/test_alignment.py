"""Where characters stand."""

import itertools
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htr.alignment import align, locate, sources
from htr.alphabet import normalise
from htr.ctc import best_path
from htr.errors import ShapeError


def scores(classes: list[int], num_classes: int = 4) -> np.ndarray:
    table = np.full((len(classes), num_classes), 0.1 / (num_classes - 1))
    table[np.arange(len(classes)), classes] = 0.9
    return np.log(table).astype(np.float32)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_the_best_path_s_own_text_stands_where_that_path_says(classes: list[int]) -> None:
    path = best_path(scores(classes))
    steps = align(scores(classes), path.class_ids)
    assert [classes[s] for s in steps] == path.class_ids
    runs = [(key, len(list(group))) for key, group in itertools.groupby(classes)]
    starts = np.cumsum([0, *(n for _, n in runs)])
    wanted = [range(starts[n], starts[n] + length) for n, (key, length) in enumerate(runs) if key]
    assert all(step in run for step, run in zip(steps, wanted, strict=True))


def test_the_alignment_is_the_best_of_all() -> None:
    rng = np.random.default_rng(5)
    table = np.log(rng.dirichlet(np.ones(3), size=6)).astype(np.float32)
    for ids in ([1], [1, 2], [1, 1], [2, 1, 2]):
        paths = [
            path
            for path in itertools.product(range(3), repeat=6)
            if [key for key, _ in itertools.groupby(path) if key] == ids
        ]
        best = max(paths, key=lambda path: sum(table[t, c] for t, c in enumerate(path)))
        assert [best[s] for s in align(table, ids)] == ids


def test_more_characters_than_steps_are_refused() -> None:
    with pytest.raises(ShapeError, match="need 3 steps"):
        align(scores([1, 0]), [1, 1])


def test_places_are_pixels_of_the_image_in_order_without_gaps() -> None:
    table = scores([0, 1, 1, 0, 0, 2, 0, 0, 0, 3])
    found = locate(table, [1, 2, 3], "abc", [0, 1, 2], pixels_per_step=10.0, width=95, height=20)
    assert [one.character for one in found] == ["a", "b", "c"]
    assert [(a.right, b.left) for a, b in itertools.pairwise(found)] == [(35.0, 35.0), (75.0, 75.0)]
    assert found[0].left == 0.0  # 15 less half of 40, cut at the image's edge
    assert found[-1].right == 95.0
    assert all(one.confidence == pytest.approx(0.9) for one in found)
    (alone,) = locate(scores([0, 0, 1, 0]), [1], "a", [0], pixels_per_step=10.0, width=40, height=8)
    assert (alone.left, alone.right) == (21.0, 29.0)
    assert locate(scores([0, 0]), [], "", [], pixels_per_step=1.0, width=2, height=1) == ()


def test_confidence_falls_where_the_network_wavers() -> None:
    table = scores([1, 0, 2, 0])
    table[2] = np.log([0.1, 0.3, 0.5, 0.1])
    sure, wavering = locate(table, [1, 2], "ab", [0, 1], pixels_per_step=4.0, width=16, height=8)
    assert sure.confidence == pytest.approx(0.9)
    assert wavering.confidence == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("ab", [("a", 0, 1), ("b", 1, 2)]),
        ("e\u0301t", [("é", 0, 2), ("t", 2, 3)]),  # a letter and its accent become one
        ("e\u0323\u0302", [("ệ", 0, 3)]),
        ("a\u0302\u0323b", [("ậ", 0, 3), ("b", 3, 4)]),  # accents in the other order
        ("x\u0301\u0323", [("x", 0, 1), ("\u0323", 1, 3), ("\u0301", 1, 3)]),  # nothing composed, marks swapped
        ("\u1112\u1161\u11ab", [("한", 0, 3)]),
        (" a  b ", [("a", 1, 2), (" ", 2, 4), ("b", 4, 5)]),
        ("  ", []),
    ],
)
def test_every_character_knows_what_it_was_made_of(raw: str, wanted: list[tuple[str, int, int]]) -> None:
    assert sources(raw) == wanted


@given(st.text(st.sampled_from("ae \u0301\u0323\u0302é\u1112\u1161\u11abאָ"), max_size=12) | st.text(max_size=8))
def test_the_characters_spell_the_normalised_text(raw: str) -> None:
    found = sources(raw)
    assert "".join(c for c, _, _ in found) == normalise(raw)
    assert all(0 <= first < end <= len(raw) for _, first, end in found)
    assert [first for _, first, _ in found] == sorted(first for _, first, _ in found)
    if unicodedata.is_normalized("NFC", raw) and " ".join(raw.split()) == raw:
        assert found == [(c, n, n + 1) for n, c in enumerate(raw)]


def test_right_to_left_characters_come_in_reading_order_with_the_places_where_they_stand() -> None:
    table = scores([0, 1, 0, 2, 0, 3])
    from_left = locate(table, [1, 2, 3], "abc", [0, 1, 2], pixels_per_step=10.0, width=60, height=20)
    from_right = locate(table, [1, 2, 3], "cba", [2, 1, 0], pixels_per_step=10.0, width=60, height=20)
    assert from_right == from_left[::-1]
    assert from_right[0].left > from_right[-1].right
