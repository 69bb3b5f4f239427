"""How often a drift verdict cries wolf: ours beside Evidently's default, on windows without any drift.

    python -m benchmarks.false_alarms --cache FILE [--windows 400]

FILE holds profile rows of real held-out lines (`benchmarks.drift_cases`). Each time they are parted at random into
reference and window: the same hands in both, so that every alarm is false. The limit to hold is alpha, within the
binomial interval. Then what the bound does not cover: windows of whole pages; other writers of the same
collections; and several windows against one reference, which share its luck.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import binom

from benchmarks.drift_cases import UNSEEN, load
from htr.bundle import ERROR_MODEL, Bundle
from htr.error_model import ErrorModel
from htr.pretrained import PRETRAINED, resolve
from htr.profile import FEATURES
from monitoring.drift import compare
from monitoring.error_rate import estimate_error
from monitoring.sequence import false_alert_rate

ALPHA = 0.01
REFERENCE_ROWS = 1100
SIZES = (100, 200, 500, 1000)
PAGES = 15
"""Of a window that comes in requests."""

Alarm = Callable[[pa.Table, pa.Table], bool]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=400)
    args = parser.parse_args()
    rows = held_out(args.cache)
    low, high = (binom.ppf(q, args.windows, ALPHA) / args.windows for q in (0.025, 0.975))
    print(f"alpha {ALPHA:.0%}; {args.windows} windows of each size, reference of {REFERENCE_ROWS} rows")
    print(f"95 % of honest tests come within {low:.2%} and {high:.2%}\n")
    print("| rows | ours | Evidently's default |\n|---|---|---|")
    for size in SIZES:
        rates = [alarm_rate(rows, size, args.windows, alarm) for alarm in (ours, evidentlys)]
        print(f"| {size:,} | {rates[0]:.2%} | {rates[1]:.1%} |", flush=True)
    print("\n| windows of whole pages, one a request | shuffled by requests | by rows |\n|---|---|---|")
    by_request, by_rows = page_alarms(rows, args.windows // 4)
    print(f"| {PAGES} pages | {by_request:.2%} | {by_rows:.1%} |", flush=True)
    share, harmless = other_writers(rows, args.windows // 4)
    print(f"\n200 lines by other writers of the same collections: {share:.0%} drift; {harmless:.0%} harmless")
    one, several = sequence_alarms(rows, args.windows // 4)
    print(f"\nthree windows of 200 against one reference: latest alarms {one:.2%}, alert of 2/3 {several:.2%}")
    print(f"(were they independent: {false_alert_rate(ALPHA, 2, 3):.3%})")


def held_out(cache: Path) -> pa.Table:
    """Return plain held-out lines of the hands that the model knows."""
    table = load(cache)
    return table.filter(pc.and_(pc.equal(table["kind"], "plain"), pc.not_equal(table["source"], UNSEEN)))


def alarm_rate(rows: pa.Table, size: int, windows: int, alarm: Alarm) -> float:
    """Return the share of windows that alarm, each against a reference of its own."""
    alarms = 0
    for seed in range(windows):
        order = np.random.default_rng((size, seed)).permutation(len(rows))
        window, reference = order[:size], order[size : size + REFERENCE_ROWS]
        alarms += alarm(rows.take(reference), rows.take(window))
    return alarms / windows


def ours(reference: pa.Table, window: pa.Table) -> bool:
    """Ask for our verdict."""
    return compare(reference, window, alpha=ALPHA)[0].state == "drift"


def evidentlys(reference: pa.Table, window: pa.Table) -> bool:
    """Ask Evidently's own tests, as it chooses them, whether half of the columns drifted: its default verdict.

    The tests are called without the report around them, which takes fifty times as long; that the two agree is
    checked on some windows by tests/unit/benchmarks/test_drift.py.
    """
    return evidently_share(reference, window) >= 0.5


def evidently_share(reference: pa.Table, window: pa.Table) -> float:
    """Return the share of columns that Evidently's default tests call drifted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.legacy.calculations.stattests import get_stattest

        before, now = (table.select(FEATURES).to_pandas() for table in (reference, window))
        drifted = [
            get_stattest(before[name], now[name], "num", None)(before[name], now[name], "num", None).drifted
            for name in FEATURES
        ]
    return float(np.mean(drifted))


def page_alarms(rows: pa.Table, windows: int) -> tuple[float, float]:
    """Return the share of alarms among windows of whole pages, shuffled by requests and by rows."""
    pages = np.array(
        [
            f"{source} {page}"
            for source, page in zip(*(rows[c].to_pylist() for c in ("source", "page")), strict=True)
        ]
    )
    names, codes = np.unique(pages, return_inverse=True)
    rows = rows.append_column("group", pa.array(codes)).append_column("request_id", pa.array(pages))
    alarms = np.zeros(2)
    for seed in range(windows):
        drawn = np.random.default_rng(seed).permutation(len(names))[:PAGES]
        inside = np.isin(codes, drawn)
        window, reference = rows.filter(pa.array(inside)), rows.filter(pa.array(~inside))
        for at, by_request in enumerate((True, False)):
            verdict, _ = compare(reference, window, alpha=ALPHA, by_request=by_request)
            alarms[at] += verdict.state == "drift"
    return float(alarms[0] / windows), float(alarms[1] / windows)


def other_writers(rows: pa.Table, windows: int) -> tuple[float, float]:
    """Return how often lines of split test drift from a reference of split val, and how often that is harmless."""
    bundle = Bundle.open(resolve(PRETRAINED))
    model = ErrorModel.load(bundle.path / ERROR_MODEL)
    reference, others = (rows.filter(pc.equal(rows["split"], split)) for split in ("val", "test"))
    drifted = harmless = 0
    for seed in range(windows):
        window = others.take(np.random.default_rng(seed).permutation(len(others))[:200])
        estimated = estimate_error(model, reference, window)
        drifted += ours(reference, window)
        harmless += bool(estimated and estimated.harmless)
    return drifted / windows, harmless / windows


def sequence_alarms(rows: pa.Table, trials: int) -> tuple[float, float]:
    """Return how often the last of three windows alarms, and how often it and one more of the three do."""
    latest = alerts = 0
    for seed in range(trials):
        order = np.random.default_rng((7, seed)).permutation(len(rows))
        reference = rows.take(order[600 : 600 + REFERENCE_ROWS])
        drifted = [ours(reference, rows.take(order[at : at + 200])) for at in (0, 200, 400)]
        latest += drifted[2]
        alerts += drifted[2] and sum(drifted) >= 2
    return latest / trials, alerts / trials


if __name__ == "__main__":
    main()
