"""Where on the image each character of a reading stands, and how sure the network was of it.

Shapes: T time steps, K classes (class 0 is the CTC blank), L characters.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from htr.alphabet import BLANK
from htr.ctc import Scores
from htr.errors import ShapeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Character:
    """One code point of a reading's text."""

    character: str
    left: float
    """Pixels from the left edge of the image as sent, EXIF rotation applied, 0..width."""
    right: float
    """At least ``left``, at most the image's width. A network marks a letter somewhere inside, not at its edges;
    the border between two letters is put half-way between their marks."""
    confidence: float
    """Probability that the network gave this character at its best step, 0..1; not calibrated."""

    def __post_init__(self) -> None:
        if not (len(self.character) == 1 and 0 <= self.left <= self.right and 0 <= self.confidence <= 1):
            raise ValueError(f"impossible character: {self}")


def align(log_probs_TK: Scores, class_ids: Sequence[int]) -> list[int]:
    """Return for each class id the step where it stands: the best one on the best path that reads as these ids.

    The Viterbi path through blank, first id, blank, second id, ..., blank (Graves et al. 2006, section 4.1, with
    a maximum in the sum's place).

    Raises:
        ShapeError: there are fewer steps than the ids need.
    """
    if not class_ids:
        return []
    num_steps = len(log_probs_TK)
    needed = len(class_ids) + sum(a == b for a, b in pairwise(class_ids))
    if num_steps < needed:
        raise ShapeError(f"{len(class_ids)} class ids need {needed} steps, got {num_steps}")
    labels_S = np.full(2 * len(class_ids) + 1, BLANK)
    labels_S[1::2] = class_ids
    emitted_TS = log_probs_TK[:, labels_S].astype(np.float64)
    can_skip_S = np.zeros(len(labels_S), bool)  # over a blank, unless the same character stands on both sides
    can_skip_S[3::2] = labels_S[3::2] != labels_S[1:-2:2]
    best_S = np.full(len(labels_S), -np.inf)
    best_S[:2] = emitted_TS[0, :2]
    came_TS = np.zeros((num_steps, len(labels_S)), np.int8)  # how many states back each state was reached from
    for step in range(1, num_steps):
        moves_3S = np.full((3, len(labels_S)), -np.inf)
        moves_3S[0] = best_S
        moves_3S[1, 1:] = best_S[:-1]
        moves_3S[2, 2:] = np.where(can_skip_S[2:], best_S[:-2], -np.inf)
        came_TS[step] = moves_3S.argmax(axis=0)
        best_S = moves_3S.max(axis=0) + emitted_TS[step]
    state = len(labels_S) - (2 if best_S[-2] > best_S[-1] else 1)
    states = [state]
    for step in range(num_steps - 1, 0, -1):
        state -= int(came_TS[step, state])
        states.append(state)
    states.reverse()
    best_step: dict[int, int] = {}
    for step, state in enumerate(states):
        if state % 2 and (state not in best_step or emitted_TS[step, state] > emitted_TS[best_step[state], state]):
            best_step[state] = step
    return [best_step[2 * n + 1] for n in range(len(class_ids))]


def locate(
    log_probs_TK: Scores,
    class_ids: Sequence[int],
    raw: str,
    order: Sequence[int],
    *,
    pixels_per_step: float,
    width: int,
    height: int,
) -> tuple[Character, ...]:
    """Return the characters of a reading with their places.

    Args:
        log_probs_TK: the network's scores.
        class_ids: what was decoded from them.
        raw: the characters of the class ids in reading order, one each, before they are normalised.
        order: for each of them, which class id it is; class ids stand from left to right on paper.
        pixels_per_step: of the image as sent.
        width: of the image, pixels.
        height: of the image, pixels.

    Returns:
        One entry a code point of the normalised text. Where normalising makes one character of several, or
        swaps marks, its place is all of theirs, and its confidence that of the least certain.
    """
    steps = align(log_probs_TK, class_ids)
    borders = _borders([(step + 0.5) * pixels_per_step for step in steps], reach=height / 2)
    borders = [min(max(x, 0.0), float(width)) for x in borders]
    sure = [float(np.exp(log_probs_TK[s, c])) for s, c in zip(steps, class_ids, strict=True)]
    return tuple(
        Character(
            character=character,
            left=min(borders[n] for n in order[first:end]),
            right=max(borders[n + 1] for n in order[first:end]),
            confidence=min(1.0, *(sure[n] for n in order[first:end])),
        )
        for character, first, end in sources(raw)
    )


def sources(raw: str) -> list[tuple[str, int, int]]:
    """Return for each code point of the normalised text the range of raw characters that it was made of."""
    pieces: list[tuple[str, int, int]] = []
    first = 0
    while first < len(raw):
        end = _piece_end(raw, first)
        pieces += [(c, first, end) for c in unicodedata.normalize("NFC", raw[first:end])]
        first = end
    joined: list[tuple[str, int, int]] = []
    for character, first, end in pieces:
        if not character.isspace():
            joined.append((character, first, end))
        elif joined and joined[-1][0] == " ":
            joined[-1] = (" ", joined[-1][1], end)
        elif joined:
            joined.append((" ", first, end))
    if joined and joined[-1][0] == " ":
        joined.pop()
    return joined


def _piece_end(raw: str, first: int) -> int:
    """Return the end of the shortest piece from ``first`` on that normalises by itself as it does in its place."""
    rest = raw[first:]
    if unicodedata.is_normalized("NFC", rest):
        return first + 1
    whole = unicodedata.normalize("NFC", rest)
    for end in range(1, len(rest)):
        if unicodedata.normalize("NFC", rest[:end]) + unicodedata.normalize("NFC", rest[end:]) == whole:
            return first + end
    return len(raw)


def _borders(centres: Sequence[float], *, reach: float) -> list[float]:
    """Return the left edge of each character and the right edge of the last, from where they are marked.

    Args:
        centres: ascending.
        reach: how far a lone character reaches to either side.
    """
    if not centres:
        return []
    inner = [(a + b) / 2 for a, b in pairwise(centres)]
    half = median(b - a for a, b in pairwise(centres)) / 2 if inner else reach
    return [centres[0] - half, *inner, centres[-1] + half]
