"""More requests than can be read, for minutes: does the server refuse the rest politely and lose nothing?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving_load import Answer, closed_loop, open_loop, percentile, statuses
from benchmarks.serving_targets import Target
from htr.prediction_log import read_log

POLITE = {200, 429, 503}
MOST_TIMES_P99 = 4.0
"""Slowest accepted requests under overload, over the slowest of a server that has nothing else to do."""
MOST_GROWTH = 0.05
"""Memory at the end over memory when warm, less one."""
WARM_SHARE = 0.2
"""Of the soak, after which memory is taken for warm."""
NUM_CLIENTS = 48
MOST_LATE_S = 0.05
"""99th percentile of how late requests may be sent; beyond it the load was less than it claims."""


def soak(
    target: Target,
    bodies: Sequence[bytes],
    *,
    minutes: float,
    rate: float,
    seed: int,
    calibrate_s: float,
    log: Path,
) -> dict[str, Any]:
    """Measure the server unloaded and at its best, overload it, stop it, and compare.

    Args:
        target: the server; it is stopped.
        bodies: one line each.
        minutes: of overload.
        rate: requests, over those that it can read.
        seed: of the moments when they are sent.
        calibrate_s: seconds for each of the figures before the overload.
        log: folder of its prediction log.

    Returns:
        Figures, and ``checks``: a name each, and whether it holds.
    """

    def loop(num_clients: int, seconds: float) -> tuple[list[Answer], float]:
        return closed_loop(target.url, target.path, bodies, num_clients=num_clients, seconds=seconds)

    before = [loop(2, calibrate_s / 2), loop(1, calibrate_s), loop(3, calibrate_s)]  # warm, unloaded, at its best
    unloaded, (busy, took) = before[1][0], before[2]
    capacity = _num_accepted(busy) / took
    phases = []
    for share in (WARM_SHARE, 1 - WARM_SHARE):
        answers = open_loop(
            target.url, target.path, bodies, per_second=rate * capacity, seconds=minutes * 60 * share,
            num_clients=NUM_CLIENTS, seed=seed + len(phases),
        )  # fmt: skip
        phases.append((answers, target.resident_mib()))
    (warm, warm_mib), (late, end_mib) = phases
    answers = [*warm, *late]
    accepted = [answer for answer in answers if answer.status == 200]
    written, dropped = target.stop()
    num_lines = sum(_num_accepted(some) for some, _ in before) + len(accepted)
    p99_idle, p99 = percentile(unloaded, 0.99), percentile(accepted, 0.99)
    late_s = sorted(answer.late_s for answer in answers)[int(0.99 * len(answers))]
    return {
        "minutes": minutes,
        "capacity_per_s": round(capacity, 1),
        "sent_per_s": round(len(answers) / (minutes * 60), 1),
        "statuses": statuses(answers),
        "unloaded_p50_ms": round(percentile(unloaded, 0.5) * 1e3, 1),
        "unloaded_p99_ms": round(p99_idle * 1e3, 1),
        "accepted_p50_ms": round(percentile(accepted, 0.5) * 1e3, 1),
        "accepted_p99_ms": round(p99 * 1e3, 1),
        "p99_over_unloaded": round(p99 / p99_idle, 2),
        "refused_p99_ms": round(percentile([one for one in answers if one.status != 200], 0.99) * 1e3, 1),
        "sent_late_p99_ms": round(late_s * 1e3, 1),
        "warm_mib": round(warm_mib, 1),
        "end_mib": round(end_mib, 1),
        "log_rows": written,
        "log_dropped": dropped,
        "lines_answered": num_lines,
        "checks": {
            "only 200, 429 and 503": set(statuses(answers)) <= POLITE,
            "some were refused": len(accepted) < len(answers),
            f"p99 of accepted at most {MOST_TIMES_P99:g} times unloaded": p99 <= MOST_TIMES_P99 * p99_idle,
            f"memory grew by at most {MOST_GROWTH:.0%}": end_mib <= (1 + MOST_GROWTH) * warm_mib,
            "log rows and drops are the lines answered": written + dropped == num_lines,
            "the log's files hold the rows": len(read_log(log)) == written,
            f"sent on time within {MOST_LATE_S * 1e3:g} ms": late_s <= MOST_LATE_S,
        },
    }


def _num_accepted(answers: Sequence[Answer]) -> int:
    return sum(answer.status == 200 for answer in answers)
