"""What the loop shows: numbered steps with times while it runs, and a table at the end."""

import time
from collections.abc import Callable
from typing import Any

from components.progress import clock


class Screen:
    """Shows steps and their progress, each with the time since the loop began.

    Args:
        show: takes one line of text.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._began = time.monotonic()
        self._step = 0

    def step(self, title: str) -> None:
        """Begin the next numbered step."""
        self._step += 1
        self._show(f"[{clock(self.elapsed_s)}] {self._step}. {title}")

    def note(self, text: str) -> None:
        """Show a line of progress under the current step."""
        self._show(f"[{clock(self.elapsed_s)}]    {text}")

    def plain(self, text: str) -> None:
        """Show a line as it is."""
        self._show(text)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the loop began."""
        return time.monotonic() - self._began


def as_text(summary: dict[str, Any]) -> str:
    """Return the summary as a few aligned lines for people."""
    rows: list[tuple[str, str]] = []
    first, second = summary["first_champion"], summary.get("second_champion")
    labels = summary["labels"]
    rows.append(
        ("lines", f"{labels['imported']:,} imported = {_sum(labels['became'])}; lost: {len(labels['lost'])}")
    )
    quarantined = labels["quarantined"]
    rows.append(("quarantined", f"{sum(quarantined.values()):,} on import {quarantined or ''}".rstrip()))
    rows.append(
        (
            "first model",
            f"version {first['version']}, golden CER {_rate(first['golden'])}, "
            f"{'promoted' if first['promoted'] else 'NOT promoted'} ({first['reason']})",
        )
    )
    if "served" in summary:
        served = summary["served"]
        rows.append(
            ("served", f"{served['lines']:,} lines over HTTP, {served['same_text']:,} read as in the evaluation")
        )
        # The reference holds these very lines: this shows that serving measures as evaluation does, no more.
        rows.append(
            ("same lines", f"drift verdict on what the reference holds: {summary['drift_before']['state']}")
        )
        rows.append(("new hand", f"{summary['arriving']['what']}, {summary['arriving']['lines']:,} lines"))
        rows.append(("drift", _drift(summary["drift"])))
        rows.append(("retraining", summary["retraining"]["told"]))
    if second is not None:
        rows.append(
            (
                "second model",
                f"version {second['version']}, golden CER {_rate(second['golden'])}, "
                f"{'promoted' if second['promoted'] else 'NOT promoted'} ({second['reason']})",
            )
        )
    if "new_hand" in summary:
        hand = summary["new_hand"]
        rows.append(
            ("CER, new hand", f"before {hand['before']:.1%}, after {hand['after']:.1%} on {hand['lines']} lines")
        )
        rows.append(("asked again", summary["asked_again"]))
    rows.append(("time", clock(summary["seconds"])))
    rows += [(name, path) for name, path in summary["look_at"].items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name.ljust(width)}  {text}" for name, text in rows)


def _rate(golden: dict[str, Any]) -> str:
    low, high = golden["cer_interval"]
    return f"{golden['cer']:.1%} [{low:.1%}, {high:.1%}] on {golden['lines']} lines"


def _sum(became: dict[str, int]) -> str:
    return " + ".join(f"{count:,} {name}" for name, count in became.items() if count)


def _drift(verdict: dict[str, Any]) -> str:
    drifted = [f["name"] for f in verdict["features"] if f["drifted"]]
    return f"verdict: {verdict['state']} on {verdict['rows']} lines" + (
        f" ({', '.join(drifted[:6])})" * bool(drifted)
    )
