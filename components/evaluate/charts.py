"""Drawings of the evaluation page: per-epoch metrics or confidences in, inline SVG out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.page import chart, figure_svg

Epoch = Mapping[str, float]
NUM_BINS = 10
_COLOURS = ("#3b76c4", "#d9822b", "#4a9c5d")
_PANELS = (
    ("loss", 1.0, (("loss", "training"), ("val_loss", "validation"))),
    ("character error rate, %", 100.0, (("val_cer", "validation"),)),
    ("learning rate", 1.0, (("learning_rate", "learning rate"),)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Lines of similar confidence."""

    lines: int
    confidence: float
    """Mean over the lines, 0..1."""
    right: float
    """Share of the lines that were read without error, 0..1."""


def curves_svg(epochs: Sequence[Epoch]) -> str:
    """Return loss, validation CER and learning rate by epoch; "" where the epochs hold none of them."""
    shown = []
    for title, scale, keys in _PANELS:
        lines = [(name, _points(epochs, key, scale)) for key, name in keys]
        lines = [(name, points) for name, points in lines if points]
        if lines:
            shown.append((title, lines))
    if not shown:
        return ""
    figure, axes = chart(3.7 * len(shown), 2.7, columns=len(shown))
    for axis, (title, lines) in zip(axes, shown, strict=True):
        for colour, (name, points) in zip(_COLOURS, lines, strict=False):
            xs, ys = zip(*points, strict=True)
            axis.plot(xs, ys, color=colour, linewidth=1.6, marker="o" * (len(xs) < 30), markersize=3, label=name)
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.set_ylim(bottom=0)
        axis.locator_params(axis="x", integer=True)
        if len(lines) > 1:
            axis.legend(frameon=False, fontsize=9, labelcolor=axis.title.get_color())
    return figure_svg(figure, label="training curves")


def _points(epochs: Sequence[Epoch], key: str, scale: float) -> list[tuple[float, float]]:
    return [(e["epoch"], scale * e[key]) for e in epochs if key in e and math.isfinite(e[key])]


def reliability(confidences: Sequence[float], right: Sequence[bool]) -> list[Bin]:
    """Return the lines in bins of equal width of confidence; empty bins are left out."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(NUM_BINS)]
    for confidence, is_right in zip(confidences, right, strict=True):
        bins[min(NUM_BINS - 1, int(confidence * NUM_BINS))].append((confidence, is_right))
    return [
        Bin(lines=len(b), confidence=sum(c for c, _ in b) / len(b), right=sum(r for _, r in b) / len(b))
        for b in bins
        if b
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error: mean gap between confidence and truth (Naeini et al. 2015)."""
    total = sum(b.lines for b in bins)
    return sum(b.lines * abs(b.confidence - b.right) for b in bins) / max(1, total)


def reliability_svg(bins: Sequence[Bin]) -> str:
    """Return how often lines of a confidence were right; the area of a dot shows how many lines it stands for."""
    figure, (axis,) = chart(3.4, 3.1)
    most = max((b.lines for b in bins), default=1)
    axis.plot([0, 100], [0, 100], linestyle="--", linewidth=1, color=axis.title.get_color(), alpha=0.5)
    axis.scatter(
        [100 * b.confidence for b in bins],
        [100 * b.right for b in bins],
        s=[20 + 160 * b.lines / most for b in bins],
        color=_COLOURS[0],
        zorder=3,
    )
    axis.set_xlim(-4, 104)
    axis.set_ylim(-4, 104)
    axis.set_xlabel("confidence, %")
    axis.set_ylabel("lines read without error, %")
    return figure_svg(figure, label="reliability of the confidence")
