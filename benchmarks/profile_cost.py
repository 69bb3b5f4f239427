"""What a profile row costs beyond the reading itself, on one core; the limit is 1 ms a line.

    python -m benchmarks.profile_cost LINES [--lines 300]

Both are timed in processor time, in turns over the same lines, and compared by their difference: reading and
profiling share the decoding of the image and the network.
"""

import argparse
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from htr.lines import LinesDataset
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser

LIMIT_MS = 1.0
ROUNDS = 5


def main() -> None:
    """Print time and ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", type=Path)
    parser.add_argument("--lines", dest="count", type=int, default=300)
    parser.add_argument("--bundle", default=PRETRAINED)
    args = parser.parse_args()
    recogniser = Recogniser.load(resolve(args.bundle))
    images = [line.image for line in islice(LinesDataset.open(args.lines).lines("val"), args.count)]
    reading, profiling = [], []
    for _ in range(ROUNDS):
        reading.append(cost_ms(lambda: recogniser.read(images), len(images)))
        profiling.append(cost_ms(lambda: list(recogniser.observe(images)), len(images)))
    read, more = min(reading), max(0.0, min(profiling) - min(reading))
    print(f"{len(images)} lines, best of {ROUNDS} rounds, processor time a line")
    print("| reading, ms | profile and verdict beyond it, ms | over the limit of 1 ms | over the reading |")
    print("|---|---|---|---|")
    print(f"| {read:.2f} | {more:.2f} | {more / LIMIT_MS:.2f} | {more / read:.0%} |")
    print(f"median of the rounds: {np.median(profiling) - np.median(reading):.2f} ms")


def cost_ms(work: Callable[[], object], count: int) -> float:
    """Return the processor time of some work, a line."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began) / count


if __name__ == "__main__":
    main()
