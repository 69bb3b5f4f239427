"""Prefix beam search."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htr.alphabet import Alphabet
from htr.beam import BeamSearch
from htr.ctc import best_path
from htr.decoding import Decoding
from htr.errors import ShapeError
from htr.lexicon import Lexicon
from htr.ngram import NGram

AB = Alphabet("ab")
CAT = Alphabet("acht ")


def log_softmax(values: np.ndarray) -> np.ndarray:
    return (values - np.logaddexp.reduce(values, axis=1, keepdims=True)).astype(np.float32)


def every_text(scores: np.ndarray) -> dict[tuple[int, ...], float]:
    """Return the probability of every text by adding up all paths, one by one."""
    texts: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        text = tuple(key for key, _ in itertools.groupby(path) if key)
        texts[text] += math.exp(sum(float(scores[step, c]) for step, c in enumerate(path)))
    return texts


def spelt(text: str, alphabet: Alphabet, *, sure: float = 0.9) -> np.ndarray:
    """Return scores that read as a text: one step a character, a blank after each."""
    num_classes = len(alphabet)
    steps = [step for class_id in alphabet.encode(text) for step in (class_id, 0)]
    scores = np.full((len(steps), num_classes), (1 - sure) / (num_classes - 1))
    scores[np.arange(len(steps)), steps] = sure
    return np.log(scores).astype(np.float32)


@settings(deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-3, 3)))
def test_a_wide_beam_finds_the_probability_of_every_text(values: np.ndarray) -> None:
    scores = log_softmax(values)
    wanted = every_text(scores)
    found = BeamSearch(AB, Decoding(beam=1000, min_probability=0.0)).search(scores)
    best = max(wanted.values())
    for one in found:
        # Only what is a thousand times less probable than the best may be missing from the sums.
        assert math.exp(one.log_prob) == pytest.approx(wanted[one.class_ids], abs=0.02 * best)
        assert one.score == one.log_prob
    assert math.exp(found[0].log_prob) == pytest.approx(best, rel=0.02)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_it_adds_paths_up_where_best_path_takes_one() -> None:
    # The textbook case (Graves 2012, figure 7.5): the best path is blank, the best text is "a".
    scores = np.log(np.array([[0.6, 0.4, 1e-9], [0.6, 0.4, 1e-9]])).astype(np.float32)
    assert best_path(scores).class_ids == []
    assert BeamSearch(AB, Decoding()).search(scores)[0].class_ids == (1,)


@given(st.text("acht ", min_size=1, max_size=12))
def test_sure_scores_read_as_best_path_reads_them(text: str) -> None:
    scores = spelt(text, CAT, sure=0.99)
    (first, *_) = BeamSearch(CAT, Decoding()).search(scores)
    assert CAT.decode(first.class_ids) == CAT.decode(best_path(scores).class_ids) == text


def test_runs_of_blank_change_no_order_and_are_counted_in_full() -> None:
    blank = np.log(np.array([[0.997, 0.002, 0.001]])).astype(np.float32)
    scores = np.concatenate([spelt("ab", AB), np.repeat(blank, 50, axis=0), spelt("a", AB)])
    found = BeamSearch(AB, Decoding()).search(scores)
    assert found[0].class_ids == (1, 2, 1)
    assert found[0].log_prob == pytest.approx(5 * math.log(0.9) + math.log(0.95) + 50 * math.log(0.997), abs=0.3)


def test_the_language_model_decides_what_the_scores_leave_open() -> None:
    ngram = NGram.fit(["the cat", "that cat", "a cat"] * 4, order=4)
    scores = spelt("cat", CAT)
    middle = scores[2].copy()
    middle[[CAT.encode("a")[0], CAT.encode("h")[0]]] = math.log(0.45), math.log(0.46)
    scores[2] = middle
    search = BeamSearch(CAT, Decoding(ngram_weight=0.5, insertion_bonus=0.7), ngram=ngram)
    first, *_ = found = search.search(scores)
    assert CAT.decode(BeamSearch(CAT, Decoding()).search(scores)[0].class_ids) == "cht"
    assert CAT.decode(first.class_ids) == "cat"
    # The score is the log-probability by the network, the model's times its weight, and the bonuses.
    told, state = 0.0, ngram.start
    for symbol in [*map(ngram.symbol, "cat"), 0]:
        step, state = ngram.step(state, symbol)
        told += step
    assert first.score == pytest.approx(first.log_prob + 0.5 * told + 3 * 0.7)
    assert all(one.log_prob <= 0 for one in found)


def test_a_lexicon_is_preferred_and_never_a_ban() -> None:
    scores = spelt("tac ha", CAT, sure=0.6)
    scores[4, CAT.encode("t")[0]] = math.log(0.35)  # "tat" is the second best first word
    plain, fond = (
        BeamSearch(CAT, Decoding(beam=50, lexicon_penalty=p), lexicon=Lexicon(["Tat"])) for p in (1e-9, 2.0)
    )
    assert CAT.decode(plain.search(scores)[0].class_ids) == "tac ha"
    assert CAT.decode(fond.search(scores)[0].class_ids) == "tat ha"
    sure = spelt("tac ha", CAT, sure=0.999)
    assert CAT.decode(fond.search(sure)[0].class_ids) == "tac ha"  # two words outside, and read all the same
    (first, *_) = fond.search(sure)
    assert first.score == pytest.approx(first.log_prob - 2 * 2.0)


def test_absurd_weights_still_give_a_text() -> None:
    ngram = NGram.fit(["aaaa"], order=3)
    search = BeamSearch(CAT, Decoding(ngram_weight=100.0, insertion_bonus=-100.0), ngram=ngram)
    for one in search.search(spelt("hhh t", CAT)):
        assert math.isfinite(one.score)


def test_one_line_does_not_change_the_next() -> None:
    ngram = NGram.fit(["the cat", "that hat"], order=3)
    rng = np.random.default_rng(3)
    lines = [log_softmax(rng.normal(size=(20, len(CAT))) * 3) for _ in range(6)]
    search = BeamSearch(CAT, Decoding(ngram_weight=0.5), ngram=ngram)
    alone = [BeamSearch(CAT, Decoding(ngram_weight=0.5), ngram=ngram).search(line) for line in lines]
    assert [search.search(line) for line in lines] == alone
    assert [search.search(line) for line in lines[::-1]] == alone[::-1]


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(ShapeError, match="expected scores of shape"):
        BeamSearch(AB, Decoding()).search(np.zeros((3, 7), np.float32))
    with pytest.raises(ValueError, match="not given"):
        BeamSearch(AB, Decoding(ngram_weight=1.0))


@pytest.mark.parametrize(
    "values", [{"beam": 0}, {"method": "greedy"}, {"ngram_weight": -1.0}, {"lexicon_penalty": "much"}]
)
def test_impossible_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"Decoding.{next(iter(values))}"):
        Decoding.from_dict(values)
