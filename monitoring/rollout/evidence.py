"""Counts in, evidence out that the canary is worse by more than a margin: e-values, to be looked at any time.

An e-value is at most 1 on average as long as the null hypothesis holds ("not worse by more than the margin"). The
ones here are e-processes: the chance that one ever reaches 1/alpha, however often somebody looks and whenever they
stop, is at most alpha (Ville 1939). So a guard that is asked every minute keeps its false-alarm rate.

Each arm's counts are bet on by the Beta(1/2, 1/2) mixture of all rates (Krichevsky and Trofimov 1981), and divided
by the best that the null hypothesis can make of both (as in universal inference: Wasserman, Ramdas and
Balakrishnan, PNAS 2020). Only sums are needed, in whatever order they came.
"""

import math

_LOG_PI = math.log(math.pi)
_HALVINGS = 60


def log_two_rates(canary: tuple[float, float], stable: tuple[float, float], margin: float) -> float:
    """Return the logarithm of the evidence against "the canary's rate is at most the stable one's plus a margin".

    Args:
        canary: how often it happened, and out of how many.
        stable: the same of the stable server.
        margin: by how much the canary may be worse, 0..1.

    Raises:
        ValueError: counts that cannot be.
    """
    (hits_c, of_c), (hits_s, of_s) = _checked(canary), _checked(stable)
    if of_c == 0:
        return 0.0
    return _log_mixture(hits_c, of_c) + _log_mixture(hits_s, of_s) - _best_null(canary, stable, margin)


def log_one_rate(counts: tuple[float, float], limit: float) -> float:
    """Return the logarithm of the evidence against "the rate is at most a limit".

    Args:
        counts: how often it happened, and out of how many.
        limit: 0..1.

    Raises:
        ValueError: counts that cannot be.
    """
    hits, of = _checked(counts)
    if of == 0:
        return 0.0
    return _log_mixture(hits, of) - _log_likelihood(hits, of, min(hits / of, limit))


def _best_null(canary: tuple[float, float], stable: tuple[float, float], margin: float) -> float:
    """Return the largest log-likelihood of both counts where the canary is not worse by more than the margin."""
    (hits_c, of_c), (hits_s, of_s) = canary, stable
    rate_c, rate_s = hits_c / of_c, hits_s / of_s if of_s else 1.0
    if rate_c <= rate_s + margin:
        return _log_likelihood(hits_c, of_c, rate_c) + _log_likelihood(hits_s, of_s, rate_s)
    # Then it lies where the canary is worse by the margin exactly; along that line the likelihood is concave.
    low, high = rate_s, rate_c - margin
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(hits_s, of_s, middle) + _slope(hits_c, of_c, middle + margin) > 0:
            low = middle
        else:
            high = middle
    return _log_likelihood(hits_c, of_c, low + margin) + _log_likelihood(hits_s, of_s, low)


def _log_mixture(hits: float, of: float) -> float:
    """Return the log of the likelihood averaged over Beta(1/2, 1/2), one order of the counts."""
    return math.lgamma(hits + 0.5) + math.lgamma(of - hits + 0.5) - math.lgamma(of + 1) - _LOG_PI


def _log_likelihood(hits: float, of: float, rate: float) -> float:
    misses = of - hits
    log = hits * math.log(rate) if hits and rate > 0 else (-math.inf if hits else 0.0)
    return log + (misses * math.log1p(-rate) if misses and rate < 1 else (-math.inf if misses else 0.0))


def _slope(hits: float, of: float, rate: float) -> float:
    rising = hits / rate if rate > 0 else (math.inf if hits else 0.0)
    falling = (of - hits) / (1 - rate) if rate < 1 else (math.inf if of > hits else 0.0)
    return rising - falling


def _checked(counts: tuple[float, float]) -> tuple[float, float]:
    hits, of = counts
    if not 0 <= hits <= of:
        raise ValueError(f"expected 0 <= hits <= all, got {hits} of {of}")
    return hits, of
