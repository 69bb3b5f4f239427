"""A reading's scores and text -> a few numbers about how sure the network was, and what kind of text came out.

Shapes: T time steps, K classes; class 0 is the CTC blank.
"""

import math

import numpy as np

from htr.alphabet import BLANK
from htr.ctc import BestPath, Scores
from htr.kneser_ney import EDGE
from htr.ngram import NGram


def measure_scores(log_probs_TK: Scores, path: BestPath) -> dict[str, float]:
    """Return the features that the network's scores give, by name.

    Args:
        log_probs_TK: the network's log-softmax scores of the line.
        path: the best path through them.
    """
    steps = np.arange(len(log_probs_TK))
    best_T = log_probs_TK.argmax(axis=1)
    others_TK = log_probs_TK.copy()
    others_TK[steps, best_T] = -np.inf
    chars = path.char_log_probs
    return {
        "mean_log_prob": path.log_prob / len(steps),
        "mean_char_prob": float(np.exp(chars).mean()) if chars else 1.0,
        "min_char_prob": math.exp(min(chars, default=0.0)),
        "entropy": -float(np.vdot(np.exp(log_probs_TK), log_probs_TK)) / len(steps),
        "blank_share": int(np.count_nonzero(best_T == BLANK)) / len(steps),
        "path_margin": float((log_probs_TK[steps, best_T] - others_TK.max(axis=1)).min()),
    }


def measure_text(text: str, ngram: NGram | None) -> dict[str, float]:
    """Return the features that the text gives, by name.

    Args:
        text: as read by best path, normalised.
        ngram: the bundle's language model, where it has one.
    """
    count = max(1, len(text))
    return {
        "num_characters": len(text),
        "digit_share": sum(c.isdigit() for c in text) / count,
        "capital_share": sum(c.isupper() for c in text) / count,
        "space_share": text.count(" ") / count,
        "mark_share": sum(not (c.isalnum() or c.isspace()) for c in text) / count,
        "accent_share": sum(c.isalpha() and not c.isascii() for c in text) / count,
        "surprise": _surprise(text, ngram) if ngram and text else 0.0,
        "empty": float(not text),
    }


def _surprise(text: str, ngram: NGram) -> float:
    """Return nats a character, the line's end counted as one."""
    total, state = 0.0, ngram.start
    for symbol in (*map(ngram.symbol, text), EDGE):
        log_prob, state = ngram.step(state, symbol)
        total -= log_prob
    return total / (len(text) + 1)
