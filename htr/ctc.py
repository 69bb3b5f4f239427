"""Best-path CTC decoding in numpy: class scores of one line in, class ids out.

Shapes: T time steps, K classes; class 0 is the CTC blank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from htr.alphabet import BLANK
from htr.errors import ShapeError

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class BestPath:
    """The most probable class at every step, collapsed."""

    class_ids: list[int]
    """Blanks and repeats removed."""
    steps: list[int]
    """For each class id, the step at which it scores highest."""
    char_log_probs: list[float]
    """For each class id, the log-probability at that step."""
    log_prob: float
    """Sum over all steps of the best class's log-probability, at most 0."""


def best_path(log_probs_TK: Scores) -> BestPath:
    """Decode one line by taking the best class at every step (Graves et al. 2006, section 3.2).

    Raises:
        ShapeError: the scores are not two-dimensional, or have no class beside the blank.
    """
    if log_probs_TK.ndim != 2 or log_probs_TK.shape[1] < 2:
        raise ShapeError(f"expected scores of shape (steps, classes >= 2), got {log_probs_TK.shape}")
    best_T = log_probs_TK.argmax(axis=1)
    top_T = log_probs_TK[np.arange(len(best_T)), best_T]
    class_ids: list[int] = []
    steps: list[int] = []
    # Collapse repeats before dropping blanks: "a-a" is two letters, "aa" is one.
    starts = [0, *(np.flatnonzero(np.diff(best_T)) + 1).tolist(), len(best_T)]
    for start, end in pairwise(starts):
        if end > start and best_T[start] != BLANK:
            class_ids.append(int(best_T[start]))
            steps.append(start + int(top_T[start:end].argmax()))
    return BestPath(
        class_ids=class_ids,
        steps=steps,
        char_log_probs=[float(top_T[s]) for s in steps],
        log_prob=float(top_T.sum()),
    )


def steps_needed(classes: Sequence[object]) -> int:
    """Return the fewest steps CTC needs for classes or characters: one each, one more between equal neighbours."""
    return len(classes) + sum(a == b for a, b in pairwise(classes))
