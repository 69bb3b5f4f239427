"""Probability of a text over all its alignments."""

import math
from itertools import groupby, product

import numpy as np
import pytest
import torch

from htr.ctc import best_path
from htr.errors import ShapeError
from htr.likelihood import text_log_prob


def scores(steps: int, classes: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(classes, 0.3), steps) + 1e-9
    return np.log(probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_the_texts_of_a_line_share_all_its_probability(seed: int) -> None:
    log_probs_TK = scores(5, 3, seed)
    paths: dict[tuple[int, ...], float] = {}
    for path in product(range(3), repeat=5):
        text = tuple(k for k, _ in groupby(path) if k)
        paths[text] = paths.get(text, 0.0) + math.exp(sum(log_probs_TK[t, k] for t, k in enumerate(path)))
    for text, prob in paths.items():
        assert text_log_prob(log_probs_TK, text) == pytest.approx(math.log(prob), abs=1e-5)
    assert sum(math.exp(text_log_prob(log_probs_TK, text)) for text in paths) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("steps", [60, 400])
def test_it_is_the_likelihood_that_the_loss_trains(steps: int) -> None:
    log_probs_TK = scores(steps, 80, steps)
    ids = best_path(log_probs_TK).class_ids[: steps // 3]  # far from the best text: small numbers all the way
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(log_probs_TK).double()[:, None],
        torch.tensor([ids]),
        torch.tensor([steps]),
        torch.tensor([len(ids)]),
        reduction="sum",
    )
    assert text_log_prob(log_probs_TK, ids) == pytest.approx(-float(loss), rel=1e-5)


def test_a_text_is_at_least_as_probable_as_its_best_path() -> None:
    log_probs_TK = scores(50, 10, 0)
    path = best_path(log_probs_TK)
    assert path.log_prob < text_log_prob(log_probs_TK, path.class_ids) <= 0


def test_a_text_that_needs_more_steps_than_there_are_is_impossible() -> None:
    assert text_log_prob(scores(3, 4, 0), [1, 1, 2]) == -math.inf
    assert text_log_prob(scores(40, 4, 0), [1] * 39) == -math.inf


def test_an_empty_text_is_blanks_all_the_way() -> None:
    log_probs_TK = scores(7, 4, 0)
    assert text_log_prob(log_probs_TK, []) == pytest.approx(float(log_probs_TK[:, 0].sum()), abs=1e-4)


def test_a_line_without_steps_is_refused() -> None:
    with pytest.raises(ShapeError):
        text_log_prob(np.zeros((0, 4), np.float32), [])
