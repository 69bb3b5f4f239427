"""Probability of a text, whatever way it was decoded: class scores and class ids in, one log-probability out.

Best-path probability counts one alignment only. A network that is sure of a text but not of the columns at which
its letters stand spreads the probability over many, and looks unsure; their sum is what it thinks of the text.

Shapes: T time steps, K classes (class 0 is the CTC blank), S = 2 * len(class_ids) + 1 places: letters and blanks.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from htr.alphabet import BLANK
from htr.errors import ShapeError

_RESCALE_STEPS = 32
"""Steps between rescalings. A double holds e-308, so that a text may lose a factor of e-9 at every step."""


def text_log_prob(log_probs_TK: npt.NDArray[np.float32], class_ids: Sequence[int]) -> float:
    """Return the log-probability that the line holds this text, over all alignments of the text with the steps.

    This is the forward recursion of Graves et al. 2006, section 4.1, in scaled probabilities.

    Args:
        log_probs_TK: log-softmax scores of one line.
        class_ids: the text, blanks and repeats already removed.

    Returns:
        At most 0; minus infinity where the text does not fit into the steps.

    Raises:
        ShapeError: the scores are not two-dimensional or have no step.
    """
    if log_probs_TK.ndim != 2 or len(log_probs_TK) == 0:
        raise ShapeError(f"expected scores of shape (steps >= 1, classes), got {log_probs_TK.shape}")
    ids = np.asarray(class_ids, dtype=np.intp)
    classes_S = np.full(2 * len(ids) + 1, BLANK, dtype=np.intp)
    classes_S[1::2] = ids
    may_skip_S = np.zeros(len(classes_S))
    may_skip_S[3::2] = ids[1:] != ids[:-1]  # between equal neighbours the blank must be walked through
    probs_TS = np.exp(log_probs_TK[:, classes_S], dtype=np.float64)
    skips_TS = probs_TS * may_skip_S
    padded = np.zeros(len(classes_S) + 2)  # two places before the first, so that the shifts need no special case
    stay_S, step_S, skip_S = padded[2:], padded[1:-1], padded[:-2]
    stay_S[:2] = probs_TS[0, :2]
    log_scale = 0.0
    moved_S = np.empty(len(classes_S))
    for t in range(1, len(probs_TS)):
        np.add(stay_S, step_S, out=moved_S)
        moved_S *= probs_TS[t]
        moved_S += skip_S * skips_TS[t]
        stay_S[:] = moved_S
        if t % _RESCALE_STEPS == 0:
            total = float(stay_S.sum())
            if total == 0:
                return -math.inf
            stay_S /= total
            log_scale += math.log(total)
    total = float(stay_S[-2:].sum())
    return min(0.0, log_scale + math.log(total)) if total > 0 else -math.inf
