"""Samples and answers in, a row a minute and the verdicts out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from benchmarks.soak.judging import Bound, Trend, trend
from benchmarks.soak.traffic import Asked
from benchmarks.soak.watching import Sample

WARM_SHARE = 0.2
"""Of the soak, after which it is judged: caches fill, allocators take what they will keep."""
BOUNDS = {
    "rss_mib": Bound(share=0.05),
    "files": Bound(units=1.0),
    "threads": Bound(units=1.0),
    "processor_ms": Bound(share=0.2),
    "p50": Bound(share=0.2),
    "p99": Bound(share=0.5),
}


@dataclass(frozen=True, kw_only=True)
class Minute:
    """One row of the table: a minute, or a shorter piece of a short soak."""

    at_min: float
    lines: int
    p50_ms: float
    p99_ms: float
    yardstick_ms: float
    """Median of a fixed piece of work at that time: what else the machine does shows in it."""
    services: dict[str, dict[str, float]]
    """Service -> rss_mib, files, threads (medians), and processor_ms a line of the server."""


def minutes(
    asked: Sequence[Asked],
    samples: dict[str, list[Sample]],
    measured: Sequence[tuple[float, float]],
    piece_s: float,
) -> list[Minute]:
    """Return a row a piece; pieces without lines or samples are left out.

    Args:
        asked: every request.
        samples: of each service.
        measured: (seconds since the beginning, seconds of the yardstick).
        piece_s: length of a piece.
    """
    rows = []
    end = max((one.at for one in asked), default=0.0)
    for number in range(int(end // piece_s)):
        low, high = number * piece_s, (number + 1) * piece_s
        lines = [one.seconds * 1e3 for one in asked if one.what == "line" and low <= one.at < high]
        inside = {name: [one for one in some if low <= one.at < high] for name, some in samples.items()}
        work = [seconds * 1e3 for at, seconds in measured if low <= at < high]
        if not lines or not work or not all(len(some) > 1 for some in inside.values()):
            continue
        told: dict[str, dict[str, float]] = {}
        for name, some in inside.items():
            told[name] = {
                what: float(median(getattr(s, what) for s in some)) for what in ("rss_mib", "files", "threads")
            }
            used, took = some[-1].processor_s - some[0].processor_s, some[-1].at - some[0].at
            told[name]["processor_share"] = used / took
        told["server"]["processor_ms"] = told["server"]["processor_share"] * 1e3 * piece_s / len(lines)
        p50, p99 = np.quantile(lines, (0.5, 0.99))
        rows.append(
            Minute(
                at_min=(low + high) / 120, lines=len(lines), p50_ms=float(p50), p99_ms=float(p99),
                yardstick_ms=median(work), services=told,
            )
        )  # fmt: skip
    return rows


def trends(rows: Sequence[Minute]) -> dict[str, Trend]:
    """Judge each series of the rows after the warm ones; times are in yardsticks."""
    judged = rows[round(len(rows) * WARM_SHARE) :]
    at = [row.at_min for row in judged]
    if len(judged) < 2:
        return {}
    found = {}
    for name in judged[0].services:
        for what in ("rss_mib", "files", "threads"):
            found[f"{name} {what}"] = trend(at, [row.services[name][what] for row in judged], BOUNDS[what])
    series = {
        "processor_ms": [row.services["server"]["processor_ms"] for row in judged],
        "p50": [row.p50_ms / row.yardstick_ms for row in judged],
        "p99": [row.p99_ms / row.yardstick_ms for row in judged],
    }
    return found | {name: trend(at, values, BOUNDS[name]) for name, values in series.items()}


def told(found: dict[str, Trend]) -> dict[str, dict[str, Any]]:
    """Return trends as JSON holds them."""
    return {
        name: {key: round(value, 4) for key, value in asdict(one).items()} | {"verdict": one.verdict}
        for name, one in found.items()
    }
