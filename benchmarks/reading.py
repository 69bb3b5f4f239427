"""How fast one core reads, one line at a time: 8 and 32 bits, best path and beams.

    python benchmarks/reading.py BUNDLE LINES [--max-lines 200]

BUNDLE is a folder, or ``pretrained``. Val lines, spread evenly; encoded image in, text and confidence out. The
process is pinned to one core. Every way of reading takes its turn with each line, so that all of them meet the
same moods of the machine; compare ratios. The bound is that of a reader who waits: 15 ms for a line.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from htr.bundle import INT8, Bundle, amend_bundle
from htr.lines import LinesDataset
from htr.metrics import ErrorCounts, count_errors
from htr.pretrained import resolve
from htr.recogniser import Recogniser

BOUND_MS = 15.0


def main() -> None:
    """Print one row a way of reading."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("lines", type=Path)
    parser.add_argument("--max-lines", type=int, default=200)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    val = list(LinesDataset.open(args.lines).lines("val"))
    if not val or args.max_lines < 1:
        parser.error(f"{args.lines}: {len(val)} val lines, --max-lines {args.max_lines}; one at least is needed")
    count = min(args.max_lines, len(val))
    lines = [val[number * len(val) // count] for number in range(count)]
    with TemporaryDirectory() as folder:
        readers = ways(Bundle.open(resolve(args.bundle)), Path(folder))
        taken: dict[str, list[float]] = {name: [] for name in readers}
        errors = {name: ErrorCounts() for name in readers}
        for read in readers.values():  # the first line pays for what is set up once
            read(lines[0].image)
        for line in lines:
            for name, read in readers.items():
                began = time.perf_counter()
                text = read(line.image)
                taken[name].append(1e3 * (time.perf_counter() - began))
                errors[name] += count_errors(line.text, text)
    print(f"{len(lines)} val lines of {args.lines}, one core, one line at a time\n")
    print(
        f"| reading | lines/s | ratio | p50, ms | p95, ms | p50 / {BOUND_MS:.0f} ms | CER |\n"
        "|---|---|---|---|---|---|---|"
    )
    first = sum(next(iter(taken.values())))
    for name, ms in taken.items():
        p50, p95 = np.quantile(ms, [0.5, 0.95])
        print(
            f"| {name} | {1e3 * len(ms) / sum(ms):.0f} | {first / sum(ms):.2f} | {p50:.1f} | {p95:.1f} "
            f"| {p50 / BOUND_MS:.2f} | {errors[name].cer:.1%} |"
        )


def ways(bundle: Bundle, folder: Path) -> dict[str, Callable[[bytes], str]]:
    """Return the ways in which a bundle can be read."""
    plain = amend_bundle(bundle, folder / "plain", {}, decoding=None)
    readers = {"best path, 32 bits": Recogniser(plain, precision="fp32")}
    if INT8 in bundle.files:
        readers["best path, 8 bits"] = Recogniser(plain, precision="int8")
    if bundle.decoding is not None:
        for beam in sorted({4, bundle.decoding.beam}):
            decoding = replace(bundle.decoding, beam=beam)
            readers[f"beam {beam}, as served"] = Recogniser(
                amend_bundle(bundle, folder / f"beam-{beam}", {}, decoding=decoding)
            )
    return {name: reader_of(one) for name, one in readers.items()}


def reader_of(recogniser: Recogniser) -> Callable[[bytes], str]:
    """Return a function from an encoded image to its text."""
    return lambda image: recogniser.read([image])[0].text


if __name__ == "__main__":
    main()
