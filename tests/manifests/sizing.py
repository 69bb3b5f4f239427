"""How many pods read how many lines a day: the table of docs/kubernetes.md, from figures measured elsewhere."""

import math
import re

from tests.manifests.rendering import of_kind, rendered
from tests.servers import ROOT

PEAK = 3.0
"""The busiest minute of a day against its mean: an assumption."""
USED = 0.7
"""What the autoscaler lets a pod's core be used."""
ROW_BYTES = 240
"""Of the prediction log, in files of hundreds of rows; a file with one row takes 6.7 KB."""
LINES_A_DAY = tuple(10**power for power in range(4, 11))


def table() -> str:
    """Return the table."""
    (runtime,) = of_kind(rendered("base"), "ClusterServingRuntime")
    asked = runtime["spec"]["containers"][0]["resources"]["requests"]
    assert asked["cpu"] == "1", "the table counts a core a pod"
    memory = float(asked["memory"].removesuffix("Mi")) / 1024
    lines = [
        "| lines a day | lines/s | at the peak | pods of a core | GiB | pods by best path, at least | log a day |",
        "|---|---|---|---|---|---|---|",
    ]
    for number in LINES_A_DAY:
        mean = number / 86_400
        pods = _pods(mean, served_a_core())
        fewest = _pods(mean, best_path_a_core())
        cells = [
            f"{number:,}", _short(mean), _short(mean * PEAK), f"{pods:,}", f"{pods * memory:,.0f}",
            f"{fewest:,}", _bytes(number * ROW_BYTES),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def served_a_core() -> float:
    """Return the lines/s that one core serves over HTTP with a language model: docs/serving.md, eight clients."""
    text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| 8 \|(.+)\|$", text, re.MULTILINE)
    return float(row.split("|")[2].strip("* ")) / 2


def best_path_a_core() -> float:
    """Return the lines/s that one core reads by best path, without a server: docs/benchmarks.md."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| reading lines/s, 2 cores, best batch \|(.+)\|$", text, re.MULTILINE)
    return float(row.split("|")[3].strip("* ")) / 2


def _pods(mean: float, a_core: float) -> int:
    return max(2, math.ceil(mean * PEAK / (a_core * USED)))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _bytes(value: float) -> str:
    unit, size = next((pair for pair in (("TB", 1e12), ("GB", 1e9)) if value >= pair[1]), ("MB", 1e6))
    return f"{value / size:,.1f} {unit}"
