"""Tuning the decoding on validation lines."""

import math
from pathlib import Path

import numpy as np
import pytest

from htr.alphabet import Alphabet
from htr.bundle import Bundle
from htr.ctc import best_path
from htr.decoding import Decoding
from htr.errors import DataError
from htr.lines import LinesDataset, LinesWriter
from htr.metrics import ErrorCounts
from htr.ngram import NGram
from htr.recogniser import Recogniser
from htr.tuning import ScoredLine, errors, scored_lines, search_weights, tune
from tests.conftest import make_line

TEXTS = ["the cat sat on the mat", "that hat", "a cat that sat", "the mat", "this is the cat"]
ALPHABET = Alphabet.of_texts(TEXTS)


def smudged(text: str, rng: np.random.Generator) -> ScoredLine:
    """Return scores in which every fourth character is nearly taken for another one."""
    steps = [step for class_id in ALPHABET.encode(text) for step in (class_id, 0)]
    scores = np.full((len(steps), len(ALPHABET)), 0.01)
    scores[np.arange(len(steps)), steps] = 0.8
    for step in range(0, len(steps), 2):
        if rng.random() < 0.25:
            scores[step, steps[step]] = 0.4
            scores[step, rng.integers(1, len(ALPHABET))] += 0.45
    return ScoredLine(truth=text, log_probs_TK=np.log(scores / scores.sum(1, keepdims=True)).astype(np.float32))


def test_weights_are_found_that_read_better_than_best_path() -> None:
    rng = np.random.default_rng(0)
    lines = [smudged(text, rng) for text in TEXTS * 3]
    tried: list[Decoding] = []
    decoding, after = search_weights(
        lines, ALPHABET, NGram.fit(TEXTS), None, start=Decoding(beam=4), on_try=lambda d, _: tried.append(d)
    )
    readings = [ALPHABET.decode(best_path(line.log_probs_TK).class_ids) for line in lines]
    before = errors(lines, readings)
    assert before.edits > 10
    assert after.edits < before.edits / 2
    assert decoding.ngram_weight > 0
    assert decoding.lexicon_penalty == 0.0
    assert len(tried) == len(set(tried))


@pytest.fixture
def dataset(tmp_path: Path) -> LinesDataset:
    with LinesWriter(tmp_path / "lines") as writer:
        for n, text in enumerate(TEXTS * 2):
            writer.add(make_line(text, n, split=("train", "val")[n % 2]))
    return LinesDataset.open(tmp_path / "lines")


def test_a_tuned_bundle_reads_its_val_lines_as_told(
    tiny_bundle: Path, dataset: LinesDataset, tmp_path: Path
) -> None:
    tuned = tune(Bundle.open(tiny_bundle), dataset, tmp_path / "out", beam=4, with_lexicon=True)
    opened = Recogniser.load(tmp_path / "out")
    assert tuned.cer <= tuned.best_path_cer
    assert opened.bundle.decoding is not None  # nonsense is easily bettered, by reading shorter nonsense
    lines = list(dataset.lines("val"))
    readings = [reading.text for reading in opened.read(line.image for line in lines)]
    scored = list(scored_lines(opened, dataset, "val", max_lines=100))
    assert errors(scored, readings).cer == tuned.cer
    assert isinstance(errors(scored, readings), ErrorCounts)
    assert math.isfinite(opened.bundle.calibration.offset)


def test_the_same_lines_are_drawn_again(tiny_bundle: Path, dataset: LinesDataset) -> None:
    recogniser = Recogniser.load(tiny_bundle)
    first, again = ([s.truth for s in scored_lines(recogniser, dataset, "val", max_lines=3)] for _ in range(2))
    assert first == again
    assert len(first) == 3


def test_without_val_lines_nothing_is_written(tiny_bundle: Path, tmp_path: Path) -> None:
    with LinesWriter(tmp_path / "lines") as writer:
        writer.add(make_line("one", split="train"))
    with pytest.raises(DataError, match="'val'"):
        tune(Bundle.open(tiny_bundle), LinesDataset.open(tmp_path / "lines"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
