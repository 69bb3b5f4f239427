"""The character language model."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htr.errors import BundleError, DataError
from htr.kneser_ney import EDGE, count_levels
from htr.ngram import NGram

TEXTS = ["the cat sat", "the hat", "a cat that sat", "the cat", "that hat", "à la carte"]


def probability(model: NGram, text: str) -> float:
    total, state = 0.0, model.start
    for symbol in [*map(model.symbol, text), EDGE]:
        log_prob, state = model.step(state, symbol)
        total += log_prob
    return total


@given(st.text("cath ", max_size=8), st.integers(1, 6))
def test_in_every_state_the_probabilities_add_up_to_one(history: str, order: int) -> None:
    model = NGram.fit(TEXTS, order=order)
    state = model.start
    for character in history:
        state = model.step(state, model.symbol(character))[1]
    total = sum(math.exp(model.step(state, symbol)[0]) for symbol in range(len(model.characters) + 2))
    assert total == pytest.approx(1.0)


def test_counts_are_occurrences_at_the_top_and_left_neighbours_below() -> None:
    symbols = {c: n for n, c in enumerate(sorted(set("".join(TEXTS))), start=1)}
    levels = count_levels(TEXTS, symbols, 3)
    rows = [f"\0{text}\0" for text in TEXTS]
    trigrams = Counter(row[n : n + 3] for row in rows for n in range(len(row) - 2))
    bigrams = {row[n : n + 2] for row in rows for n in range(len(row) - 1)}
    assert sorted(levels[2].counts.tolist()) == sorted(trigrams.values())
    assert len(levels[1]) == len(bigrams)
    left = Counter(pair[1] for pair in bigrams)
    names = {EDGE: "\0", **{n: c for c, n in symbols.items()}}
    found = {names[s]: n for s, n in zip(levels[0].symbols.tolist(), levels[0].counts.tolist(), strict=True)}
    assert found == dict(left)
    first = Counter(row[1] for row in rows)  # after the edge there is no left neighbour: occurrences count
    at_edge = levels[1].parents == 0
    after_edge = zip(levels[1].symbols[at_edge].tolist(), levels[1].counts[at_edge].tolist(), strict=True)
    assert {names[s]: n for s, n in after_edge} == dict(first)


def test_a_bigram_model_follows_the_formula() -> None:
    # "ab", "ab", "ac": by hand with the fallback discounts, since three lines have no counts of three.
    model = NGram.fit(["ab", "ab", "ac"], order=2)
    uniform = 1 / 5  # a, b, c, the edge, an unknown one
    # Left neighbours: a, b and c have one each, the edge two; 5 pairs, of which 3 singles and 1 double.
    taken = 3 * 0.5 + 1.0
    lower_b = (1 - 0.5) / 5 + taken / 5 * uniform
    # After "a" came b twice and c once.
    wanted = (2 - 1.0) / 3 + (1.0 + 0.5) / 3 * lower_b
    state = model.step(model.start, model.symbol("a"))[1]
    assert math.exp(model.step(state, model.symbol("b"))[0]) == pytest.approx(wanted)


def test_what_was_written_is_more_probable_than_what_was_not() -> None:
    model = NGram.fit(TEXTS)
    assert probability(model, "the cat") > probability(model, "teh cat") > probability(model, "zqx cat")
    assert NGram.fit(TEXTS, order=4).bits_per_character(TEXTS) < NGram.fit(TEXTS, order=1).bits_per_character(
        TEXTS
    )


def test_a_saved_model_answers_as_before(tmp_path: Path) -> None:
    model = NGram.fit(TEXTS, order=5)
    (tmp_path / "n.npz").write_bytes(model.to_bytes())
    loaded = NGram.load(tmp_path / "n.npz")
    assert (loaded.characters, loaded.order, len(loaded)) == (model.characters, 5, len(model))
    for text in [*TEXTS, "never seen ß"]:
        assert probability(loaded, text) == probability(model, text)
    assert model.to_bytes() == NGram.fit(TEXTS, order=5).to_bytes()


def test_the_golden_file_reads_as_it_was_written() -> None:
    model = NGram.load(Path(__file__).parents[2] / "golden/ngram-1.npz")
    assert (model.order, len(model), model.characters) == (4, 96, tuple(sorted(set("".join(TEXTS)))))
    assert probability(model, "the cat") == pytest.approx(-3.8376020528146073)


def test_rare_ngrams_go_until_the_file_is_small_enough() -> None:
    texts = [f"{n} and {n * n}" for n in range(300)]
    whole = NGram.fit(texts)
    limit = len(whole.to_bytes()) * 3 // 4
    small = NGram.fit(texts, max_bytes=limit)
    assert len(small.to_bytes()) <= limit
    state = small.start
    for character in "17 and":
        state = small.step(state, small.symbol(character))[1]
        total = sum(math.exp(small.step(state, s)[0]) for s in range(len(small.characters) + 2))
        assert total == pytest.approx(1.0)
    assert len(NGram.fit(texts, max_bytes=0)) > 0  # characters and pairs always stay


def test_answers_do_not_depend_on_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    model, forgetful = NGram.fit(TEXTS), NGram.fit(TEXTS)
    monkeypatch.setattr("htr.ngram._MEMORY", 1)
    assert [probability(forgetful, t) for t in TEXTS] == [probability(model, t) for t in TEXTS]


def test_no_text_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no text"):
        NGram.fit([])


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_file_cut_short_is_one_error(keep: int, tmp_path: Path) -> None:
    file = tmp_path / "ngram.npz"
    file.write_bytes(NGram.fit(TEXTS, order=3).to_bytes()[:keep])
    with pytest.raises(BundleError, match=r"ngram\.npz: not a language model"):
        NGram.load(file)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("format_version", np.array([99])),
        ("symbols_2", np.array([200])),
        ("children_2", np.array([1])),
        ("discounts", np.zeros((0, 3))),
        ("counts_1", np.array([{"a": "pickle"}], object)),
    ],
)
def test_impossible_content_is_one_error(name: str, values: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "ngram.npz"
    file.write_bytes(NGram.fit(TEXTS, order=3).to_bytes())
    with np.load(file) as opened:
        arrays = dict(opened)
    np.savez(file, **{**arrays, name: values})
    with pytest.raises(BundleError, match=r"ngram\.npz: not a language model"):
        NGram.load(file)
