"""How often a drift verdict cries wolf: ours beside Evidently's default, on windows without any drift.

    python benchmarks/false_alarms.py [--windows 40]

Reference and windows are drawn from one invented distribution: 17 correlated features, rows independent. The limit
to hold is alpha; a window of real lines by few hands is harder than this (see docs/decisions/0006).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from htr.profile import FEATURES, SCHEMA
from monitoring.drift import compare

ALPHA = 0.01
REFERENCE_ROWS = 2000


def rows(count: int, rng: np.random.Generator) -> pa.Table:
    """Draw profile rows; what they share stands for how alike the lines of a collection are."""
    shared = rng.normal(size=count)
    columns = {name: 0.5 * shared + rng.normal(size=count) for name in FEATURES}
    return pa.table({n: v.astype(np.float32) for n, v in columns.items()}, schema=SCHEMA)


def default_alarm(reference: pa.Table, window: pa.Table) -> bool:
    """Ask Evidently for its own verdict with nothing set."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    snapshot = Report([DataDriftPreset()]).run(window.to_pandas(), reference.to_pandas())
    count = snapshot.dict()["metrics"][0]["value"]
    return bool(count["share"] >= 0.5)


def main() -> None:
    """Print one row a window size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=40)
    windows = parser.parse_args().windows
    print(f"alpha {ALPHA:.0%}, reference {REFERENCE_ROWS} rows, {windows} windows without drift each")
    print("rows  ours   Evidently's default")
    for size in (100, 200, 500):
        ours = theirs = 0
        for seed in range(windows):
            rng = np.random.default_rng((size, seed))
            reference, window = rows(REFERENCE_ROWS, rng), rows(size, rng)
            ours += compare(reference, window, out=None, alpha=ALPHA).state == "drift"
            theirs += default_alarm(reference, window)
        print(f"{size:4}  {ours / windows:5.1%}  {theirs / windows:5.1%}", flush=True)


if __name__ == "__main__":
    main()
