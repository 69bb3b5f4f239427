"""What a soak measured in, one figure out: memory, handles and threads, times, and what lies on the disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.soak.findings import WARM_SHARE

COLOURS = {"server": "#1f4e79", "governor": "#d9822b"}
_GREY = "#777777"


def draw(facts: Mapping[str, Any], file: Path) -> None:
    """Draw the figure.

    Args:
        facts: as the command writes them.
        file: PNG to write.
    """
    rows, found = facts["rows"], facts["trends"]
    at = [row["at_min"] for row in rows]
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained", sharex=True)
    memory, handles, times, disk = axes.flat
    for name, colour in COLOURS.items():
        memory.plot(at, [row["services"][name]["rss_mib"] for row in rows], color=colour, label=_said(found, name))
        for what, style in (("files", "-"), ("threads", ":")):
            values = [row["services"][name][what] for row in rows]
            handles.plot(at, values, style, color=colour, label=f"{name}, {what}")
    memory.set_ylabel("memory, MiB")
    handles.set_ylabel("open files, threads")
    times.plot(at, [row["p99_ms"] for row in rows], color="#8fb3d9", label="99th percentile")
    times.plot(at, [row["p50_ms"] for row in rows], color=COLOURS["server"], label="median")
    times.plot(
        at,
        [row["yardstick_ms"] for row in rows],
        color=_GREY,
        linewidth=1,
        label="a fixed piece of work, beside it",
    )
    times.set_ylabel("a line, ms")
    times.set_yscale("log")
    times.set_ylim(top=3 * times.get_ylim()[1])
    for name, title in (
        ("log", "prediction and image log"),
        ("corrections", "corrections"),
        ("governor", "governor"),
    ):
        disk.plot(
            [one["at_min"] for one in facts["disk"]], [one[name] / 2**20 for one in facts["disk"]], label=title
        )
    disk.set_ylabel("on the disk, MiB")
    for axis in axes.flat:
        axis.axvspan(0, at[round(len(at) * WARM_SHARE)], color="#f0f0f0", zorder=0, linewidth=0)
        axis.set_xlim(0, facts["minutes"])
        if axis is not times:
            axis.set_ylim(0, 1.3 * axis.get_ylim()[1])  # room above the lines for the legend
        axis.legend(frameon=False, fontsize=8, ncols=2, loc="upper left")
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    for axis in axes[1]:
        axis.set_xlabel("minutes (grey: warming up, not judged)")
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _said(found: Mapping[str, Any], name: str) -> str:
    one = found.get(f"{name} rss_mib")
    if one is None:
        return name
    return f"{name}: {one['growth']:+.1f} MiB [{one['low']:+.1f}, {one['high']:+.1f}]"
