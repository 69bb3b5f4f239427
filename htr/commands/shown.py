"""What commands that make lines datasets show: how far they are, and what came of it."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from htr.direction import is_recoverable, is_right_to_left
from htr.lines import SPLITS, DatasetInfo, LinesDataset

Say = Callable[[str], None]


class Progress:
    """Shows how far a long command is: on one line of a terminal, or on a new line now and then elsewhere.

    Args:
        unit: what is counted, in the plural.
        stream: where to write; stderr by default.
        clock: seconds that only go forward.
    """

    def __init__(
        self, unit: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unit = unit
        self._stream = stream or sys.stderr
        self._clock = clock
        self._live = self._stream.isatty()
        self._interval_s = 0.2 if self._live else 5.0
        self._begun = self._shown = clock()

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done, if it is time to."""
        now = self._clock()
        ended = self._live and done >= total
        if now - self._shown < self._interval_s and not ended:
            return
        self._shown = now
        rate = done / max(now - self._begun, 1e-9)
        left_s = (total - done) / max(rate, 1e-9)
        text = f"{done} of {total} {self._unit}, {rate:.0f}/s, {left_s:.0f} s left"
        self._stream.write(f"\r\x1b[K{text}" + ("\n" if ended else "") if self._live else f"{text}\n")
        self._stream.flush()


def report(info: DatasetInfo, out: Path, say: Say, wanted: tuple[str, ...] = ("train", "val", "test")) -> None:
    """Say what is in a dataset that was just made.

    Args:
        info: what it holds.
        out: where it lies.
        say: shows a line.
        wanted: splits that somebody will miss when they are empty.
    """
    counts = info.counts["split"]
    splits = ", ".join(f"{split} {counts[split]}" for split in SPLITS if split in counts)
    say(f"kept {info.num_lines} lines: {splits}")
    quarantined = info.counts["quarantined"]
    if quarantined:
        reasons = ", ".join(f"{reason} {count}" for reason, count in quarantined.items())
        say(f"quarantined {sum(quarantined.values())} rows: {reasons}; listed in {out / 'quarantine.csv'}")
    else:
        say("quarantined 0 rows")
    _report_policy(info, say)
    empty = [split for split in wanted if not counts.get(split)]
    if empty:
        say(
            f"note: no line in split {' and '.join(empty)}, which training needs: "
            "give the table a split column, or more writers"
        )
    _report_order(out, info, say)
    say(f"digest {info.digest}")
    say(f"wrote {out}")


def _report_order(out: Path, info: DatasetInfo, say: Say) -> None:
    """Name the lines whose text cannot be told from how it stands on paper; they are kept."""
    if not any(map(is_right_to_left, info.alphabet)):
        return
    rows = LinesDataset.open(out).columns(["id", "text"]).to_pylist()
    mixed = [row["id"] for row in rows if not is_recoverable(row["text"])]
    if mixed:
        named = ", ".join(mixed[:5]) + (", ..." if len(mixed) > 5 else "")
        say(
            f"{len(mixed)} lines mix writing directions so that another text would look the same on paper "
            f"({named}): they are kept, but even a right reading of them counts as wrong; see docs/scripts.md"
        )


def _report_policy(info: DatasetInfo, say: Say) -> None:
    policy = info.lineage.get("policy")
    if policy:
        rules = ", ".join(
            f"{name} {rule['action']} {rule['took']}" + (" (off: not rare here)" if rule.get("off") else "")
            for name, rule in policy["rules"].items()
        )
        say(f"policy {policy['name']}: {rules or 'no rules'}")
    for note, count in info.lineage.get("notes", {}).items():
        if count:
            say(f"note: {note.replace('_', ' ')}: {count}")
