"""CTC prefix beam search: class scores of one line in, its most probable texts out, best first.

Summing over all paths that collapse to the same text (Graves 2012, "Supervised sequence labelling with recurrent
neural networks", section 7.5), with a character language model and an insertion bonus multiplied in where a
character is appended (Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition using
bi-directional recurrent DNNs"), and a penalty, never a ban, for finished words outside a lexicon.

Written for speed in plain Python: at most steps one class, mostly the blank, has nearly all the probability, so
what is left to do are few multiplications of numbers, which lists do faster than arrays.

Shapes: T time steps, K classes; class 0 is the CTC blank.
"""

import math
from dataclasses import dataclass

import numpy as np

from htr.alphabet import BLANK, Alphabet
from htr.ctc import Scores
from htr.decoding import Decoding
from htr.errors import ShapeError
from htr.kneser_ney import EDGE
from htr.lexicon import Lexicon, in_word
from htr.ngram import NGram

RELATIVE_FLOOR = 1e-3
"""A prefix this much less probable than the best one is dropped, however wide the beam."""
LOWEST_FACTOR = -300.0
"""Log of the least that appending a character multiplies by: absurd weights must not make zeros."""
MEMORY = 100_000
"""Appended classes that a search remembers, some 30 MB at most; it forgets them all at once."""
_ROOT_CLASS = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """One text that a line may hold."""

    class_ids: tuple[int, ...]
    """Blanks and repeats removed."""
    log_prob: float
    """Log-probability of the text by the scores alone, summed over the paths that the search kept; at most 0."""
    score: float
    """What hypotheses are ordered by: ``log_prob`` plus language model, bonus and penalties."""


class _Prefix:
    """A node of the tree of prefixes; only nodes that were reached exist."""

    __slots__ = (
        "before",
        "children",
        "class_id",
        "ends_blank",
        "ends_class",
        "extra",
        "factor",
        "next_blank",
        "next_class",
        "reached_at",
        "state",
        "word",
    )
    ends_blank: float
    """Probability of the paths to this prefix that end in the blank; set, as the next, for kept prefixes only."""
    ends_class: float
    """Probability of the paths to it that end in its class."""
    next_blank: float
    """``ends_blank`` after the step ``reached_at``."""
    next_class: float

    def __init__(
        self, before: "_Prefix | None", class_id: int, factor: float, extra: float, state: int, word: str
    ) -> None:
        self.before = before
        self.class_id = class_id
        self.factor = factor  # what appending class_id multiplies the probability by
        self.extra = extra  # log of all factors so far
        self.state = state  # of the language model
        self.word = word  # letters since the last word's end
        self.reached_at = -1  # the last step that led here
        self.children: dict[int, _Prefix] | None = None  # most prefixes never get any

    def class_ids(self) -> tuple[int, ...]:
        ids: list[int] = []
        node: _Prefix = self
        while node.before is not None:
            ids.append(node.class_id)
            node = node.before
        return tuple(reversed(ids))


class BeamSearch:
    """A prefix beam search with its settings. Lines do not influence each other; safe to use from several threads.

    Args:
        alphabet: gives the characters of class ids.
        decoding: the settings.
        ngram: language model; may be None where ``decoding.ngram_weight`` is 0.
        lexicon: known words; may be None where ``decoding.lexicon_penalty`` is 0.

    Raises:
        ValueError: a weight is set and what it weighs is missing.
    """

    def __init__(
        self, alphabet: Alphabet, decoding: Decoding, *, ngram: NGram | None = None, lexicon: Lexicon | None = None
    ) -> None:
        if (decoding.ngram_weight and ngram is None) or (decoding.lexicon_penalty and lexicon is None):
            raise ValueError("BeamSearch: a weight is set for a language model or lexicon that was not given")
        self.decoding = decoding
        self._num_classes = len(alphabet)
        self._ngram = ngram if decoding.ngram_weight else None
        self._lexicon = lexicon if decoding.lexicon_penalty else None
        self._characters = ["", *alphabet.characters]
        self._memory: dict[int, tuple[float, float, int]] = {}
        self._in_word = [c != "" and in_word(c) for c in self._characters]
        self._symbols = [ngram.symbol(c) if ngram is not None and c else EDGE for c in self._characters]

    def search(self, log_probs_TK: Scores) -> list[Hypothesis]:
        """Return at most ``decoding.beam`` hypotheses, the best first.

        Raises:
            ShapeError: the scores are not of shape (steps, classes of the alphabet).
        """
        if log_probs_TK.ndim != 2 or log_probs_TK.shape[1] != self._num_classes:
            raise ShapeError(f"expected scores of shape (steps, {self._num_classes}), got {log_probs_TK.shape}")
        start = self._ngram.start if self._ngram is not None else 0
        root = _Prefix(None, _ROOT_CLASS, 1.0, 0.0, start, "")
        root.ends_blank, root.ends_class = 1.0, 0.0
        beam = [root]
        log_scale = 0.0
        for number, (blank, log_blanks, candidates) in enumerate(self._steps(log_probs_TK)):
            if candidates:
                beam = self._advance(beam, blank, candidates, number)
                peak = beam[0].next_blank + beam[0].next_class
                for node in beam:
                    node.ends_blank, node.ends_class = node.next_blank / peak, node.next_class / peak
                log_scale += math.log(peak)
            else:  # every path goes on to the blank
                for node in beam:
                    node.ends_blank, node.ends_class = node.ends_blank + node.ends_class, 0.0
                log_scale += log_blanks
        found = [self._hypothesis(node, log_scale + math.log(node.ends_blank + node.ends_class)) for node in beam]
        return sorted(found, key=lambda one: (-one.score, one.class_ids))

    def _steps(self, log_probs_TK: Scores) -> list[tuple[float, float, list[tuple[int, float]]]]:
        """Return (blank's probability, its log, [(class, probability)]) a step, steps of mere blank joined."""
        probs_TK = np.exp(log_probs_TK.astype(np.float64))
        followed_TK = probs_TK >= self.decoding.min_probability
        followed_TK[np.arange(len(probs_TK)), probs_TK.argmax(axis=1)] = True
        followed_TK[:, BLANK] = False
        candidates: list[list[tuple[int, float]]] = [[] for _ in range(len(probs_TK))]
        rows, columns = np.nonzero(followed_TK)
        order = np.lexsort((-probs_TK[rows, columns], rows))  # at every step the most probable class first
        rows, columns = rows[order], columns[order]
        for row, column, prob in zip(
            rows.tolist(), columns.tolist(), probs_TK[rows, columns].tolist(), strict=True
        ):
            candidates[row].append((column, prob))
        steps: list[tuple[float, float, list[tuple[int, float]]]] = []
        for blank, log_blank, found in zip(
            probs_TK[:, BLANK].tolist(), log_probs_TK[:, BLANK].tolist(), candidates, strict=True
        ):
            if not found and steps and not steps[-1][2]:
                steps[-1] = (blank, steps[-1][1] + log_blank, found)
            else:
                steps.append((blank, log_blank, found))
        return steps

    def _advance(
        self, beam: list[_Prefix], blank: float, candidates: list[tuple[int, float]], number: int
    ) -> list[_Prefix]:
        """Return the prefixes that step ``number`` leaves, the most probable first."""
        probs = dict(candidates)
        best = 0.0
        for node in beam:
            node.reached_at = number
            node.next_blank = (node.ends_blank + node.ends_class) * blank
            node.next_class = node.ends_class * probs.get(node.class_id, 0.0)
            best = max(best, node.next_blank + node.next_class)
        reached = list(beam)
        floor = best * RELATIVE_FLOOR
        for node in beam:
            total = node.ends_blank + node.ends_class
            children = node.children
            if children is None:
                children = node.children = {}
            for class_id, prob in candidates:
                grown = total * prob
                if grown < floor:
                    break  # the candidates after it are less probable still
                if class_id == node.class_id:  # only a blank in between makes it a second one
                    grown = node.ends_blank * prob
                child = children.get(class_id)
                if child is None:
                    factor, log_factor, state = self._growth(node, class_id)
                    grown *= factor
                    if grown < floor:
                        continue  # it would be dropped below: most are, and need not be made
                    child = children[class_id] = _Prefix(
                        node, class_id, factor, node.extra + log_factor, state, self._word(node, class_id)
                    )
                else:
                    grown *= child.factor
                if child.reached_at == number:
                    child.next_class += grown
                else:
                    child.reached_at, child.next_blank, child.next_class = number, 0.0, grown
                    reached.append(child)
                if grown > best:
                    best = grown
                    floor = best * RELATIVE_FLOOR
        kept = [node for node in reached if node.next_blank + node.next_class >= floor]
        kept.sort(key=_next_total, reverse=True)
        return kept[: self.decoding.beam]

    def _growth(self, node: _Prefix, class_id: int) -> tuple[float, float, int]:
        """Return what appending a class multiplies the probability by, its log, and the model's new state."""
        key = node.state * self._num_classes + class_id
        known = self._memory.get(key)
        if known is None:
            log_factor, state = self.decoding.insertion_bonus, node.state
            if self._ngram is not None:  # its truth would be its length, which takes a walk through its tables
                log_prob, state = self._ngram.step(node.state, self._symbols[class_id])
                log_factor += self.decoding.ngram_weight * log_prob
            log_factor = max(log_factor, LOWEST_FACTOR)
            if len(self._memory) >= MEMORY:
                self._memory.clear()
            known = self._memory[key] = math.exp(log_factor), log_factor, state
        if self._lexicon is None or self._in_word[class_id]:
            return known
        log_factor = max(known[1] - self._unknown_word(node.word), LOWEST_FACTOR)
        return math.exp(log_factor), log_factor, known[2]

    def _word(self, node: _Prefix, class_id: int) -> str:
        """Return the letters since the last word's end; nobody asks where there is no lexicon."""
        return (
            node.word + self._characters[class_id] if self._lexicon is not None and self._in_word[class_id] else ""
        )

    def _unknown_word(self, word: str) -> float:
        if not word or self._lexicon is None or word in self._lexicon:
            return 0.0
        return self.decoding.lexicon_penalty

    def _hypothesis(self, node: _Prefix, log_total: float) -> Hypothesis:
        """Return a kept prefix as a whole text: the line ends here, and so does its last word."""
        score = log_total - self._unknown_word(node.word)
        if self._ngram is not None:
            score += self.decoding.ngram_weight * self._ngram.step(node.state, EDGE)[0]
        return Hypothesis(class_ids=node.class_ids(), log_prob=min(0.0, log_total - node.extra), score=score)


def _next_total(node: _Prefix) -> float:
    return node.next_blank + node.next_class
