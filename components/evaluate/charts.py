"""Drawings of the evaluation page: per-epoch metrics or figures about confidence in, inline SVG out."""

import math
from collections.abc import Mapping, Sequence

from components.page import chart, figure_svg
from htr.confidence import Bin
from htr.confidence_figures import ConfidenceFigures

Epoch = Mapping[str, float]
_COLOURS = ("#3b76c4", "#d9822b", "#4a9c5d")
_PANELS = (
    ("loss", 1.0, (("loss", "training"), ("val_loss", "validation"))),
    ("character error rate, %", 100.0, (("val_cer", "validation"),)),
    ("learning rate", 1.0, (("learning_rate", "learning rate"),)),
)


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


def reliability_svg(bins: Sequence[Bin]) -> str:
    """Return how often lines of a confidence were right, each bin with the 95 % interval of its share."""
    figure, (axis,) = chart(3.9, 3.3)
    xs, ys = [100 * one.confidence for one in bins], [100 * one.right for one in bins]
    lows, highs = zip(*((100 * one.right_interval[0], 100 * one.right_interval[1]) for one in bins), strict=True)
    # A poor model is never confident; its bins would all lie in one corner.
    limit = min(100.0, 10 * math.ceil(max(*xs, *highs) / 10))
    axis.plot([0, 100], [0, 100], linestyle="--", linewidth=1, color=axis.title.get_color(), alpha=0.5)
    axis.vlines(xs, lows, highs, color=_COLOURS[0], alpha=0.45, linewidth=2)
    axis.plot(xs, ys, color=_COLOURS[0], linewidth=1, marker="o", markersize=5)
    axis.set_xlim(-0.03 * limit, 1.03 * limit)
    axis.set_ylim(-0.03 * limit, 1.03 * limit)
    axis.set_title("Reliability")
    axis.set_xlabel("confidence, %")
    axis.set_ylabel("lines read without error, %")
    return figure_svg(figure, label="reliability of the confidence")


def reject_svg(figures: ConfidenceFigures) -> str:
    """Return CER by the share of lines that a person checks, with the target and where it is reached."""
    figure, (axis,) = chart(4.9, 3.3)
    checked = 100 * figures.curve.checked
    axis.plot(
        checked, 100 * figures.curve.rest_cer, color=_COLOURS[0], linewidth=1.6, label="lines nobody checked"
    )
    axis.plot(
        checked,
        100 * figures.curve.whole_cer,
        color=_COLOURS[1],
        linewidth=1.6,
        label="all lines, checked ones put right",
    )
    colour = axis.title.get_color()
    axis.axhline(100 * figures.target_cer, linestyle="--", linewidth=1, color=colour, alpha=0.5)
    axis.plot(
        [100 * figures.checked_share, 100 * figures.checked_share_of_whole],
        [100 * figures.target_cer] * 2,
        linestyle="",
        marker="o",
        markersize=5,
        color=colour,
        label=f"{100 * figures.target_cer:.0f} % reached",
    )
    axis.set_title("Checking the least confident lines first")
    axis.set_xlabel("lines checked, %")
    axis.set_ylabel("character error rate, %")
    axis.set_xlim(-2, 102)
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize=9, labelcolor=colour)
    return figure_svg(figure, label="error rate by the share of lines that are checked")
