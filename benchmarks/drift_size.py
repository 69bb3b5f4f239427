"""A check over a million readings: time and memory, beside the limits of 60 s and 2 GB.

    python -m benchmarks.drift_size [--rows 1000000]

The prediction log is invented, in files of 50,000 rows with request ids and digests as long as real ones; the
check is the command itself, page, estimate and history included.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from htr.bundle import REFERENCE, Bundle
from htr.prediction_log import SCHEMA
from htr.pretrained import PRETRAINED, resolve
from htr.profile import EMBEDDING, FEATURES

ROWS_A_FILE = 50_000
LIMIT_S, LIMIT_BYTES = 60.0, 2e9
START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Write a log, check it, print both figures over their limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--bundle", default=PRETRAINED)
    args = parser.parse_args()
    bundle = Bundle.open(resolve(args.bundle))
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.mkdir()
        write_log(log, bundle, args.rows)
        words = ["check", "--bundle", bundle.path, "--log", log, "--out", Path(folder) / "out"]
        words += ["--history", Path(folder) / "windows.jsonl"]
        began = time.monotonic()
        command = [sys.executable, "-m", "monitoring", *map(str, words)]
        told = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
        seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak, processor_s = used.ru_maxrss * 1024, used.ru_utime + used.ru_stime
    print("\n".join(told.splitlines()[:1]))
    print("| rows | wall, s | processor, s | wall / 60 s | peak memory, MB | of 2 GB |\n|---|---|---|---|---|---|")
    print(
        f"| {args.rows:,} | {seconds:.1f} | {processor_s:.1f} | {seconds / LIMIT_S:.2f} | {peak / 1e6:,.0f} | "
        f"{peak / LIMIT_BYTES:.2f} |"
    )


def write_log(folder: Path, bundle: Bundle, num_rows: int) -> None:
    """Write rows drawn from the bundle's own reference, a tenth of a standard deviation of noise added."""
    reference = pq.read_table(bundle.path / REFERENCE)
    rng = np.random.default_rng(1)
    for number, first in enumerate(range(0, num_rows, ROWS_A_FILE)):
        count = min(ROWS_A_FILE, num_rows - first)
        drawn = rng.integers(len(reference), size=count)
        columns = {
            "time": [START + timedelta(seconds=first + at) for at in range(count)],
            "request_id": [f"{first + at:08x}-0000-4000-8000-{first + at:012x}" for at in range(count)],
            "position": np.zeros(count, np.int32),
            "model_version": ["7"] * count,
            "bundle_digest": [bundle.digest] * count,
            "confidence": rng.random(count, np.float32),
        }
        for name in (*FEATURES, *EMBEDDING):
            values = reference[name].to_numpy()
            columns[name] = (values[drawn] + 0.1 * values.std() * rng.normal(size=count)).astype(np.float32)
        for name in ("mean_char_prob", "min_char_prob"):
            columns[name] = np.clip(columns[name], 0, 1)
        columns["entropy"] = np.maximum(columns["entropy"], 0)
        pq.write_table(
            pa.table(columns, schema=SCHEMA), folder / f"20260101T000000.{number:06}Z-1-{number}.parquet"
        )


if __name__ == "__main__":
    main()
