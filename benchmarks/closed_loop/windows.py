"""What windows of served lines came to: measured with the true texts, and estimated without them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htr.metrics import bootstrap_ratio, count_errors, paired_bootstrap
from pipelines.server import Served


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Lines that were served one after another, and what the check of them said."""

    hand: str
    version: str
    lines: int
    measured: float
    """CER by the true texts, which no check sees."""
    measured_interval: tuple[float, float]
    state: str
    estimated: float | None
    estimated_interval: tuple[float, float] | None
    cannot_tell: str
    """Why there is no estimate to go by; "" where there is."""
    alert: bool


def window_of(hand: str, read: Sequence[Served], verdict: Mapping[str, Any]) -> Window:
    """Return what was measured on lines as they were read, beside what the check of them said."""
    errors = [count_errors(one.line.text, one.text) for one in read]
    edits, characters = [one.edits for one in errors], [one.characters for one in errors]
    estimated = verdict["estimated"]
    return Window(
        hand=hand,
        version=read[-1].model_version,
        lines=len(read),
        measured=sum(edits) / sum(characters),
        measured_interval=bootstrap_ratio(edits, characters),
        state=verdict["state"],
        estimated=estimated["cer"] if estimated else None,
        estimated_interval=tuple(estimated["interval"]) if estimated else None,
        cannot_tell=estimated.get("cannot_tell", "") if estimated else "no estimate",
        alert=bool(verdict["alert"] and verdict["alert"]["raised"]),
    )


def in_words(window: Window) -> str:
    """Return a window as people read it."""
    told = f"estimated {window.estimated:.1%}" if window.estimated is not None else "no estimate"
    if window.cannot_tell:
        told += f" (cannot tell: {window.cannot_tell})"
    alert = ", ALERT" if window.alert else ""
    return (
        f"{window.lines} lines of {window.hand}, version {window.version}: {window.state}{alert}, {told}, "
        f"measured {window.measured:.1%}"
    )


def golden(story: Path) -> dict[str, Any]:
    """Return CERs of both models on the old hands' test lines, as the pipeline evaluated them."""
    outcome = json.loads((story / "retrain" / "pipeline.json").read_text(encoding="utf-8"))
    report = json.loads(Path(outcome["report"]).read_text(encoding="utf-8"))
    lines = [line for line in report["lines"] if line["split"] == "test"]
    return _difference(*([line[name] for line in lines] for name in ("champion_edits", "edits", "characters")))


def compared(before: Sequence[Served], after: Sequence[Served]) -> dict[str, Any]:
    """Return CERs of the lines that were read after, before and after, and the paired difference."""
    later = {one.line.id: one for one in after}
    before = [one for one in before if one.line.id in later]
    counts = [
        (count_errors(one.line.text, one.text), count_errors(one.line.text, later[one.line.id].text))
        for one in before
    ]
    return _difference(
        [first.edits for first, _ in counts],
        [second.edits for _, second in counts],
        [first.characters for first, _ in counts],
    )


def _difference(was: Sequence[int], now: Sequence[int], characters: Sequence[int]) -> dict[str, Any]:
    difference, low, high = paired_bootstrap(now, was, characters)
    before = sum(was) / sum(characters)
    return {
        "lines": len(characters),
        "before": before,
        "after": sum(now) / sum(characters),
        "difference": difference,
        "interval": (low, high),
        "relative": difference / before,
    }
