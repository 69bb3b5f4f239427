"""Lines and a trained model -> the labels that the model disagrees with most, and lines that are upside down.

How far it disagrees is the logarithm of how much more probable the model's own reading is than the label, over all
alignments of both, by the length of the longer one. Unlike a count of edits it forgives what the model doubts.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from htr.alphabet import Alphabet
from htr.ctc import Scores, best_path
from htr.errors import ImageError
from htr.image import Grey, decode
from htr.likelihood import text_log_prob
from htr.lines import Line
from htr.recogniser import Recogniser

SUSPICIOUS = 3.0
"""Nats a character. Decision 21 says what right and swapped labels have."""
_WORST = 30.0
"""Stands for a label that cannot be aligned at all, and for anything beyond."""
_CLEARLY_BETTER = 0.5
"""A line is upside down where turning it takes away so much of the disagreement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """A line whose label and image do not seem to belong together."""

    row: int
    reading: str
    """What the model reads, by best path."""
    disagreement: float
    """Nats a character, 0 and up; 0 where the model reads the label."""
    upside_down: bool
    """Turned by half a turn, the image agrees with the label far better."""


def suspects(
    recogniser: Recogniser,
    lines: Iterable[Line],
    *,
    num_lines: int,
    share: float,
    on_line: Callable[[int], None] = lambda _: None,
) -> list[Suspect]:
    """Return the lines that the model disagrees with most, the worst first.

    Args:
        recogniser: better trained on other lines: what it learnt by heart it agrees with.
        lines: all of the dataset in stored order; those whose image cannot be decoded are passed over.
        num_lines: how many there are.
        share: at most that share of them is returned, 0..1; lines that disagree by less than SUSPICIOUS never are.
        on_line: called with the number of lines read so far.
    """
    alphabet = recogniser.bundle.alphabet
    found: list[Suspect] = []
    for row, line in enumerate(lines):
        on_line(row + 1)
        try:
            grey = decode(line.image)
        except ImageError:
            continue
        reading, disagreement = _read(recogniser.log_probs(grey), line.text, alphabet)
        if disagreement < SUSPICIOUS:
            continue
        _, turned = _read(recogniser.log_probs(_half_turned(grey)), line.text, alphabet)
        found.append(
            Suspect(
                row=row,
                reading=reading,
                disagreement=disagreement,
                upside_down=turned < _CLEARLY_BETTER * disagreement and turned < SUSPICIOUS,
            )
        )
    found.sort(key=lambda suspect: (-suspect.disagreement, suspect.row))
    return found[: math.ceil(share * num_lines)]


def _read(log_probs_TK: Scores, text: str, alphabet: Alphabet) -> tuple[str, float]:
    path = best_path(log_probs_TK)
    reading = alphabet.decode(path.class_ids)
    missing = set(alphabet.missing(text))  # of those the model has no opinion
    known = "".join(character for character in text if character not in missing)
    gap = text_log_prob(log_probs_TK, path.class_ids) - text_log_prob(log_probs_TK, alphabet.encode(known))
    return reading, min(_WORST, max(0.0, gap) / max(1, len(text), len(reading)))


def _half_turned(grey: Grey) -> Grey:
    return np.ascontiguousarray(grey[::-1, ::-1])
