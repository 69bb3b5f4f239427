"""What a look at a store of corrections costs the governor: time, bytes read, memory; beside a full read.

    python -m benchmarks.corrections_size [--sizes 1000 10000 100000] [--new 10]

The corrections are invented, 60 to 80 characters each, and have no images: no look opens one. A look asks all that
the governor asks: how many lines and which, whose places are known, what was misread on the sampled ones. In full,
each of the three reads the whole store, as the governor did before it followed the log. Every row and either
way is measured in a process of its own; the ratio is that of two processes of one run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from htr.corrected_lines import CorrectedLines
from htr.correction_store import LOG, CorrectionStore, image_digest
from htr.corrections import CHOSEN_BY, Correction, to_json
from htr.importers.corrections import last_words
from monitoring.error_rate import sampled_errors

START = datetime(2026, 1, 1, tzinfo=UTC)
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", *" " * 7]
NEWEST = 500
PLACES = 20_000
"""As many readings as the governor chooses lines from."""


def main() -> None:
    """Measure every size, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--new", type=int, default=10, help="corrections that come between two looks")
    parser.add_argument("--child", nargs=2, metavar=("HOW", "DIR"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.child[0], Path(args.child[1]), args.new)))
        return
    print(
        "| corrections | log, MB | first look, s | memory, MB | later look, s | it reads, MB | "
        "in full, s | memory, MB | it reads, MB | faster | less memory |"
    )
    print("|" + "---|" * 11)
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "store"
            write(folder, 0, size)
            log_bytes = (folder / LOG).stat().st_size
            followed, full = (child(how, folder, args.new) for how in ("followed", "full"))
        memory, all_memory = followed["memory"], full["memory"]
        print(
            f"| {size:,} | {log_bytes / 1e6:.1f} | {followed['first_s']:.2f} | {memory / 1e6:.1f} | "
            f"{followed['later_s']:.2f} | {followed['later_read'] / 1e6:.2f} | "
            f"{full['later_s']:.2f} | {all_memory / 1e6:.1f} | {full['later_read'] / 1e6:.1f} | "
            f"{full['later_s'] / followed['later_s']:,.0f} x | {all_memory / memory:.1f} x |",
            flush=True,
        )


def child(how: str, folder: Path, new: int) -> dict[str, float]:
    """Measure in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.corrections_size", "--new", str(new), "--child", how, str(folder)]
    found: dict[str, float] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


def measure(how: str, folder: Path, new: int) -> dict[str, float]:
    """Look once, and again after a few new corrections; the memory is what the most of it grew by."""
    places = [(f"{number:08x}-0000-4000-8000", 0) for number in range(PLACES)]
    look = following(folder, places) if how == "followed" else in_full(folder, places)
    following(folder / "none", places)()  # what is imported and made once is not counted
    before = peak_bytes()
    first_s = timed(look)
    with (folder / LOG).open("rb") as log:
        known = sum(1 for _ in log)
    write(folder, known, new)
    begun = bytes_read()
    later_s = timed(look)
    later_read = bytes_read() - begun
    return {"first_s": first_s, "later_s": later_s, "later_read": later_read, "memory": peak_bytes() - before}


def following(folder: Path, places: list[tuple[str, int]]) -> Callable[[], Any]:
    """Return a look that reads what is new."""
    lines = CorrectedLines(folder)
    return lambda: (lines.count(), lines.known(places), lines.sampled(NEWEST))


def in_full(folder: Path, places: list[tuple[str, int]]) -> Callable[[], Any]:
    """Return a look that reads everything, three times, and lets it go again each time."""

    def count() -> int:
        lines = last_words(CorrectionStore(folder).read()[0])
        return len(sorted(f"{one.id} {one.image_digest} {one.new_text} {first.chosen_by}" for one, first in lines))

    def known() -> set[tuple[str, int]]:
        stored = CorrectionStore(folder).read()[0]
        return {(one.correction.request_id, one.correction.position) for one in stored} & set(places)

    return lambda: (count(), known(), sampled_errors(folder))


def write(folder: Path, first: int, count: int) -> None:
    """Append corrections as the store does, without waiting for the disk; every tenth corrects a line anew."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(first)
    with (folder / LOG).open("ab") as log:
        for number in range(first, first + count):
            text = " ".join("".join(draw.choice(LETTERS, draw.integers(60, 81))).split()) or "a"
            line = number - 5 if number % 10 == 9 else number
            one = Correction(
                id=f"{number:08x}-1111-4000-8000-{number:012x}",
                time=START + timedelta(seconds=number),
                author="Ada",
                model_version="7",
                bundle_digest="sha256:" + "b" * 64,
                old_text=text[1:].strip(),
                new_text=text,
                image_digest=image_digest(str(line).encode()),
                chosen_by=CHOSEN_BY[number % 4 == 0],
                line=str(line % 30),
                page=f"page {line // 30}",
                request_id=f"{number:08x}-0000-4000-8000",
            )
            log.write(to_json(one).encode() + b"\n")


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds of processor time that some work takes, which others on the machine change least."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def peak_bytes() -> int:
    """Return the most memory that this process has had so far.

    Asked of /proc, since what `resource.getrusage` says of a child is never less than its parent had.
    """
    told = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in told if line.startswith("VmHWM:"))


def bytes_read() -> int:
    """Return how many bytes this process has read so far, as Linux counts them."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").splitlines()[0].removeprefix("rchar: "))


if __name__ == "__main__":
    main()
