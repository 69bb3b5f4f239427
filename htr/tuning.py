"""Tuning of the decoding: a bundle and a lines dataset in, the bundle with a language model and its weights out.

The language model is learnt from the training texts, its weights from the validation lines: on training lines the
network is so sure that no language model would be of use.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from htr.alphabet import Alphabet, normalise
from htr.beam import BeamSearch
from htr.bundle import Bundle, amend_bundle, refuse_what_is_there
from htr.ctc import Scores, best_path
from htr.decoding import LEXICON, NGRAM, Decoding
from htr.errors import DataError, ImageError
from htr.evaluate import calibrate, evaluate
from htr.image import decode
from htr.lexicon import Lexicon
from htr.lines import LinesDataset
from htr.metrics import ErrorCounts, count_errors
from htr.ngram import DEFAULT_ORDER, NGram
from htr.recogniser import Recogniser

START = Decoding(ngram_weight=0.5, insertion_bonus=0.75)
"""Where the search for weights begins."""
STEPS = {"ngram_weight": 0.2, "insertion_bonus": 0.4, "lexicon_penalty": 0.5}
"""First step of each weight; the last is a quarter of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredLine:
    """One line with its truth and the network's scores."""

    truth: str
    log_probs_TK: Scores


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuned:
    """What tuning found."""

    bundle: Bundle
    lines: int
    """Validation lines that the weights were chosen by."""
    best_path_cer: float
    cer: float
    """With the decoding that was kept, on the same lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The decoding that a search for it found."""

    decoding: Decoding | None
    """None where best path was not bettered."""
    files: dict[str, bytes]
    """Bundle files that it asks."""
    lines: int
    """Validation lines that the weights were chosen by."""
    best_path_cer: float
    cer: float
    """With the decoding that was kept, on the same lines."""


def tune(
    bundle: Bundle,
    dataset: LinesDataset,
    out: Path,
    *,
    order: int = DEFAULT_ORDER,
    beam: int = Decoding().beam,
    with_lexicon: bool = False,
    max_lines: int = 500,
    seed: int = 0,
    on_try: Callable[[Decoding, float], None] = lambda *_: None,
) -> Tuned:
    """Write a copy of a bundle that reads by the best decoding found; by best path where none is better.

    Args:
        bundle: what to tune; a decoding that it has already is replaced.
        dataset: language model from its ``train`` texts, weights from its ``val`` lines.
        out: folder for the copy.
        order: symbols of the longest n-gram.
        beam: prefixes kept at every step.
        with_lexicon: also collect the words of the training texts, and penalise those outside.
        max_lines: validation lines to tune by, drawn by the seed.
        seed: of the draw.
        on_try: called with each setting tried and its CER.

    Raises:
        DataError: no training text, or no validation line that can be read.
        OutputError: there is something at ``out``, or it cannot be written.
    """
    refuse_what_is_there(out)
    found = find_decoding(
        bundle,
        dataset,
        order=order,
        beam=beam,
        with_lexicon=with_lexicon,
        max_lines=max_lines,
        seed=seed,
        on_try=on_try,
    )
    return Tuned(
        bundle=_written(bundle, out, found.decoding, found.files, dataset),
        lines=found.lines,
        best_path_cer=found.best_path_cer,
        cer=found.cer,
    )


def find_decoding(
    bundle: Bundle,
    dataset: LinesDataset,
    *,
    order: int = DEFAULT_ORDER,
    beam: int = Decoding().beam,
    with_lexicon: bool = False,
    max_lines: int = 500,
    seed: int = 0,
    on_try: Callable[[Decoding, float], None] = lambda *_: None,
) -> Found:
    """Learn a language model and search for its weights; arguments and errors as for `tune`."""
    # The search goes along the line as the network does, from left to right on paper.
    texts = [bundle.alphabet.visual(text) for text in dataset.texts("train")]
    ngram = NGram.fit(texts, order=order)
    lexicon = Lexicon.of_texts(texts) if with_lexicon else None
    lines = list(scored_lines(Recogniser(bundle), dataset, "val", max_lines=max_lines, seed=seed))
    if not lines:
        raise DataError(
            f"{dataset.path}: no readable line in split 'val'; weights are tuned on lines of that split"
        )
    alphabet = bundle.alphabet
    plain = [normalise(alphabet.decode(best_path(line.log_probs_TK).class_ids)) for line in lines]
    before = errors(lines, plain)
    found, after = search_weights(lines, alphabet, ngram, lexicon, start=replace(START, beam=beam), on_try=on_try)
    decoding = found if after.edits < before.edits else None
    made = {NGRAM: ngram.to_bytes(), LEXICON: lexicon.to_bytes() if lexicon else b""}
    return Found(
        decoding=decoding,
        files={name: made[name] for name in (decoding.files() if decoding else ())},
        lines=len(lines),
        best_path_cer=before.cer,
        cer=min(before.cer, after.cer),
    )


def _written(
    bundle: Bundle, out: Path, decoding: Decoding | None, files: dict[str, bytes], dataset: LinesDataset
) -> Bundle:
    """Write the tuned bundle, its confidence fitted anew: what is read has changed, and so has what is right."""
    with TemporaryDirectory() as folder:
        # Figures of another decoding would mislead: evaluation fills them in again.
        tuned = amend_bundle(bundle, Path(folder) / "bundle", files, decoding=decoding, metrics={})
        calibration = calibrate(evaluate(Recogniser(tuned), dataset, ["val"]).lines)
        return amend_bundle(tuned, out, {}, calibration=calibration)


def scored_lines(
    recogniser: Recogniser, dataset: LinesDataset, split: str, *, max_lines: int, seed: int = 0
) -> Iterator[ScoredLine]:
    """Yield lines of a split with their scores, drawn by the seed where there are more than ``max_lines``."""
    total = dataset.info.counts["split"].get(split, 0)
    chosen = set(np.random.default_rng(seed).permutation(total)[:max_lines].tolist())
    for number, line in enumerate(dataset.lines(split)):
        if number in chosen:
            try:
                yield ScoredLine(truth=line.text, log_probs_TK=recogniser.log_probs(decode(line.image)))
            except ImageError:
                continue  # such a line is read as empty by any decoding


def search_weights(
    lines: list[ScoredLine],
    alphabet: Alphabet,
    ngram: NGram,
    lexicon: Lexicon | None,
    *,
    start: Decoding,
    names: Sequence[str] = tuple(STEPS),
    on_try: Callable[[Decoding, float], None] = lambda *_: None,
) -> tuple[Decoding, ErrorCounts]:
    """Return the settings of fewest errors that a pattern search finds, and those errors.

    One weight at a time is stepped up or down while that lowers the errors; then all steps are halved (Hooke and
    Jeeves 1961, without the pattern move). Of the weights named, those whose model is given are searched.
    """
    names = [name for name in names if name != "lexicon_penalty" or lexicon is not None]
    tried: dict[Decoding, ErrorCounts] = {}

    def measured(decoding: Decoding) -> ErrorCounts:
        if decoding not in tried:
            search = BeamSearch(alphabet, decoding, ngram=ngram, lexicon=lexicon)
            tried[decoding] = errors(lines, read_all(lines, alphabet, search))
            on_try(decoding, tried[decoding].cer)
        return tried[decoding]

    best = start
    for scale in (1.0, 0.5, 0.25):
        moved = True
        while moved:
            moved = False
            for name in names:
                for step in (STEPS[name] * scale, -STEPS[name] * scale):
                    value = round(getattr(best, name) + step, 6)
                    if value < 0:
                        continue
                    other = replace(best, **{name: value})
                    if measured(other).edits < measured(best).edits:
                        best, moved = other, True
                        break
    return best, measured(best)


def read_all(lines: list[ScoredLine], alphabet: Alphabet, search: BeamSearch) -> list[str]:
    """Return the best text of every line, normalised."""
    return [normalise(alphabet.decode(search.search(line.log_probs_TK)[0].class_ids)) for line in lines]


def errors(lines: list[ScoredLine], readings: list[str]) -> ErrorCounts:
    """Sum the errors of readings up."""
    pairs = zip(lines, readings, strict=True)
    return sum((count_errors(line.truth, text) for line, text in pairs), ErrorCounts())
