"""The facts of a telling in, one figure out: error rates over served lines, and what happened when."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MEASURED, ESTIMATED, NEW_PAPER = "#1f4e79", "#d9822b", "#f3ead9"


def draw(facts: Mapping[str, Any], file: Path) -> None:
    """Draw the figure.

    Args:
        facts: of a telling in which a model was promoted.
        file: PNG to write.
    """
    windows, marks = facts["windows"], facts["marks"]
    ends = np.cumsum([window["lines"] for window in windows])
    starts = ends - [window["lines"] for window in windows]
    middles = (starts + ends) / 2
    figure, axis = plt.subplots(figsize=(10, 4.8), layout="constrained")
    top = 100 * max(max(w["measured_interval"][1], (w["estimated_interval"] or (0, 0))[1]) for w in windows)
    top = min(100.0, top) * 1.32
    for at, window in enumerate(windows):
        if window["hand"] == "new hand":
            axis.axvspan(starts[at], ends[at], color=NEW_PAPER, zorder=0, linewidth=0)
    _told_by(axis, windows, middles)
    _parts(axis, windows, starts, ends, facts["settings"]["hand"])
    shown: dict[int, list[str]] = {}
    for name, at in marks.items():
        shown.setdefault(at, []).append(name)
    for number, (at, names) in enumerate(sorted(shown.items())):
        x = float(ends[at - 1])
        axis.axvline(x, color="#333333", linestyle=":", linewidth=1.2)
        axis.annotate(
            "\n".join(_in_words(name, facts) for name in names),
            (x, top * 0.985),
            xytext=(5 if number % 2 == 0 else -5, 0),
            textcoords="offset points",
            ha="left" if number % 2 == 0 else "right",
            va="top",
            fontsize=8.5,
        )
    axis.set_xlim(0, ends[-1])
    axis.set_ylim(0, top)
    axis.set_xlabel("lines served, one after another")
    axis.set_ylabel("character error rate, %")
    figure.legend(frameon=False, loc="outside upper center", ncols=3, fontsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure.savefig(file, dpi=130)
    plt.close(figure)


def _told_by(axis: Any, windows: Any, middles: Any) -> None:
    """Draw what was measured with the true texts, and what was estimated without them."""
    measured = 100 * np.array([window["measured"] for window in windows])
    ends = 100 * np.array([window["measured_interval"] for window in windows])
    axis.errorbar(
        middles,
        measured,
        yerr=[measured - ends[:, 0], ends[:, 1] - measured],
        color=MEASURED,
        marker="o",
        linestyle="none",
        capsize=3,
        label="measured with the true texts, 95 %",
        zorder=4,
    )
    known = [at for at, window in enumerate(windows) if window["estimated"] is not None]
    if not known:
        return
    estimated = 100 * np.array([windows[at]["estimated"] for at in known])
    spans = 100 * np.array([windows[at]["estimated_interval"] for at in known])
    axis.errorbar(
        middles[known] + 0.01 * middles[-1],
        estimated,
        yerr=[estimated - spans[:, 0], spans[:, 1] - estimated],
        color=ESTIMATED,
        marker="s",
        linestyle="none",
        capsize=3,
        label="estimated without them, 90 %",
        zorder=3,
    )
    unsure = [at for at in known if windows[at]["cannot_tell"]]
    if unsure:
        axis.plot(
            middles[unsure] + 0.01 * middles[-1],
            [100 * windows[at]["estimated"] for at in unsure],
            marker="s",
            markerfacecolor="white",
            color=ESTIMATED,
            linestyle="none",
            label="the same, but it says that it cannot tell",
            zorder=5,
        )


def _parts(axis: Any, windows: Any, starts: Any, ends: Any, hand: str) -> None:
    """Name the stretches of one hand below the axis of time."""
    begin = 0
    for at in range(1, len(windows) + 1):
        if at < len(windows) and _kind(windows[at]) == _kind(windows[begin]):
            continue
        window = windows[begin]
        name = hand if window["hand"] == "new hand" else "hands that it knows"
        axis.text(
            float(starts[begin] + ends[at - 1]) / 2,
            0.02,
            f"{name}\nmodel {window['version']}",
            transform=axis.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8.5,
            color="#555555",
        )
        begin = at


def _kind(window: Mapping[str, Any]) -> tuple[str, str]:
    return window["hand"], window["version"]


def _in_words(name: str, facts: Mapping[str, Any]) -> str:
    if name.startswith("alarm"):
        return f"drift alarm;\n{facts['request']['lines']} lines are asked for"
    if name.startswith("corrected"):
        return f"{facts['request']['lines']} lines corrected,\none training"
    return f"version {facts['version']} promoted"
