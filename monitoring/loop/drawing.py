"""Bars and curves in, SVG out: two drawings that need no library and carry their own titles for who cannot see."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

from monitoring.loop.timeline import ROWS, Bar

WIDTH, LEFT, RIGHT = 1040, 130, 20
ROW_HEIGHT, BAR_HEIGHT = 34, 20
CURVE_HEIGHT = 220
NUM_TICKS = 6
_LETTER = 7.0
"""Pixels that a letter of a label takes, about."""
Points = Sequence[tuple[datetime, float]]


def draw_timeline(bars: Sequence[Bar], begun: datetime, ended: datetime) -> str:
    """Return the bars, one row a kind, over a span of time."""
    height = ROW_HEIGHT * len(ROWS) + 30
    parts = [_open(height, "What happened when")]
    parts += _time_axis(begun, ended, height - 22)
    for at, row in enumerate(ROWS):
        middle = ROW_HEIGHT * at + ROW_HEIGHT / 2
        parts.append(
            f'<text class="row" x="{LEFT - 10}" y="{middle + 5:.0f}" text-anchor="end">{escape(row)}</text>'
        )
        # Moments last: a bar would hide them.
        for bar in sorted((bar for bar in bars if bar.row == row), key=lambda bar: bar.begun == bar.ended):
            parts.append(_bar(bar, begun, ended, middle))
    return "".join([*parts, "</svg>"])


def draw_curves(curves: Mapping[str, Points], begun: datetime, ended: datetime, title: str) -> str:
    """Return curves of fractions over a span of time; a curve of one point is a dot.

    Args:
        curves: name -> points, oldest first.
        begun: left end.
        ended: right end.
        title: what is shown.
    """
    top = max([value for points in curves.values() for _, value in points] + [0.01]) * 1.1
    parts = [_open(CURVE_HEIGHT + 30, title)]
    parts += _time_axis(begun, ended, CURVE_HEIGHT + 8)
    for step in range(5):
        y = CURVE_HEIGHT - (CURVE_HEIGHT - 10) * step / 4
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.0f}" y2="{y:.0f}"/>')
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4:.0f}" text-anchor="end">{top * step / 4:.1%}</text>')
    for number, (name, points) in enumerate(curves.items()):
        placed = [
            (_x(time, begun, ended), CURVE_HEIGHT - (CURVE_HEIGHT - 10) * value / top) for time, value in points
        ]
        words = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(
            f'<polyline class="curve c{number}" points="{words}"><title>{escape(name)}</title></polyline>'
        )
        parts += [
            f'<circle class="dot c{number}" cx="{x:.1f}" cy="{y:.1f}" r="3.5">'
            f"<title>{escape(name)}: {value:.1%}, {time:%Y-%m-%d %H:%M}</title></circle>"
            for (x, y), (time, value) in zip(placed, points, strict=True)
        ]
    return "".join([*parts, "</svg>"])


def _bar(bar: Bar, begun: datetime, ended: datetime, middle: float) -> str:
    left, right = _x(bar.begun, begun, ended), _x(bar.ended or ended, begun, ended)
    width = max(5.0, right - left - 1)
    left = min(left, WIDTH - RIGHT - width)
    lasts = "" if bar.ended is None else f" to {bar.ended:%Y-%m-%d %H:%M}"
    told = f"{bar.label}, {bar.begun:%Y-%m-%d %H:%M}{lasts}"
    label = ""
    if width > _LETTER * len(bar.label) + 8:
        label = f'<text class="in" x="{left + 6:.1f}" y="{middle + 5:.0f}">{escape(bar.label)}</text>'
    return (
        f"<g><title>{escape(told)}</title>"
        f'<rect class={quoteattr("bar " + bar.tone)} x="{left:.1f}" y="{middle - BAR_HEIGHT / 2:.0f}" '
        f'width="{width:.1f}" height="{BAR_HEIGHT}" rx="3"/>{label}</g>'
    )


def _time_axis(begun: datetime, ended: datetime, y: float) -> list[str]:
    span = ended - begun
    form = "%d %b %H:%M" if span < timedelta(days=14) else "%d %b %Y"
    parts = []
    for step in range(NUM_TICKS):
        time = begun + span * step / (NUM_TICKS - 1)
        x = _x(time, begun, ended)
        anchor = "end" if step == NUM_TICKS - 1 else "start" if step == 0 else "middle"
        parts.append(f'<line class="grid" x1="{x:.0f}" x2="{x:.0f}" y1="0" y2="{y:.0f}"/>')
        parts.append(f'<text x="{x:.0f}" y="{y + 16:.0f}" text-anchor="{anchor}">{time.strftime(form)}</text>')
    return parts


def _x(time: datetime, begun: datetime, ended: datetime) -> float:
    share = (time - begun) / max(ended - begun, timedelta(seconds=1))
    return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, share))


def _open(height: float, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label={quoteattr(title)} '
        'xmlns="http://www.w3.org/2000/svg">'
    )
