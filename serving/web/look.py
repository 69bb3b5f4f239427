"""Readings in, HTML out. Whatever was read or typed is escaped here and nowhere else."""

import base64
import html
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby

from serving.web.reading import PAGE, Letter, SeenLine, Sheet, Work

DOUBT = ((0.5, "d3", "very doubtful"), (0.8, "d2", "doubtful"), (0.95, "d1", "slightly doubtful"))
"""Letters below each confidence, the CSS class that shades them and what it is called."""
SURE, FAIR = 0.9, 0.6
"""Confidences of whole lines from which on they are called sure, and fair."""


def escaped(text: str) -> str:
    """Return text that a browser shows as it is, within elements and attributes.

    Gradio's templates give ``${`` and ``{{`` a meaning of their own, so dollars and braces are escaped too.
    """
    return html.escape(text, quote=True).replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;")


def shaded(text: str, letters: Sequence[Letter]) -> str:
    """Return a reading with its doubtful letters marked, the more the less sure."""
    if not letters:
        return escaped(text) or '<em class="nothing">nothing was read</em>'
    parts: list[str] = []
    for doubt, run in groupby(letters, key=_doubt):
        found = list(run)
        part = escaped("".join(letter.text for letter in found))
        if doubt:
            name, words = doubt
            lowest = min(letter.confidence for letter in found)
            part = f'<mark class="{name}" title="{words}: {lowest:.0%}">{part}</mark>'
        parts.append(part)
    return "".join(parts)


def sureness(confidence: float) -> str:
    """Return a badge with the confidence of a whole line: figure and colour, never colour alone."""
    level = "sure" if confidence >= SURE else "fair" if confidence >= FAIR else "weak"
    title = f"Of lines at {confidence:.0%}, about {round(100 * confidence)} in 100 are right to the last letter"
    return f'<span class="badge {level}" title="{title}">{confidence:.0%}</span>'


def sheet_view(sheet: Sheet | None) -> str:
    """Return the picture with the outlines of its lines, which can be clicked."""
    if sheet is None:
        return ""
    around = "" if sheet.kind != PAGE else "".join(_outline(n, line) for n, line in enumerate(sheet.lines))
    label = f"The page with {len(sheet.lines)} lines outlined" if sheet.kind == PAGE else "The line"
    return (
        f'<div class="sheet {sheet.kind}"><svg viewBox="0 0 {sheet.width} {sheet.height}" role="img" '
        f'aria-label="{label}" preserveAspectRatio="xMidYMid meet"><image href="{data_uri(sheet.preview)}" '
        f'width="{sheet.width}" height="{sheet.height}" preserveAspectRatio="none"/>{around}</svg></div>'
    )


def line_list(work: Work) -> str:
    """Return the lines of the shown sheet, one button each."""
    sheet = work.shown
    if sheet is None:
        return ""
    if not sheet.lines:
        return '<p class="hint">No line was found on this page.</p>'
    items = "".join(_item(work, place, line) for place, line in enumerate(sheet.lines))
    return f'<ol class="lines">{items}</ol>'


def crop_view(line: SeenLine | None) -> str:
    """Return the picture of one line, with its reading below it."""
    if line is None:
        return ""
    return (
        f'<figure class="crop"><img src="{data_uri(line.picture)}" alt="The line, as it was cut out"/>'
        f'<figcaption><span class="read" dir="auto">{shaded(line.text, line.letters)}</span>'
        f"{sureness(line.confidence)}</figcaption></figure>"
    )


def other_readings(line: SeenLine | None) -> str:
    """Return a button for each thing that the line may say, the reading first."""
    if line is None or not line.others:
        return ""
    buttons = "".join(
        f'<button type="button" class="other" data-text="{escaped(text)}" dir="auto">'
        f"{_against(line.text, text) or '(empty)'}</button>"
        for text in dict.fromkeys((line.text, *line.others))
    )
    return f'<div class="others" role="group" aria-label="What the line may say">{buttons}</div>'


def note(text: str, *, bad: bool = False) -> str:
    """Return a message for the person at the page; screen readers say it."""
    if not text:
        return ""
    kind = ("bad", "alert") if bad else ("good", "status")
    return f'<p class="note {kind[0]}" role="{kind[1]}">{escaped(text)}</p>'


def data_uri(image: bytes) -> str:
    """Return a PNG or JPEG as an address that needs no request."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def _against(reading: str, other: str) -> str:
    """Return another reading with what differs from the first one in bold."""
    parts: list[str] = []
    for what, _, _, start, end in SequenceMatcher(None, reading, other, autojunk=False).get_opcodes():
        part = escaped(other[start:end])
        parts.append(part if what == "equal" else f"<b>{part}</b>" if part else "<b>&#8203;</b>")
    return "".join(parts)


def _doubt(letter: Letter) -> tuple[str, str] | None:
    return next(((name, words) for below, name, words in DOUBT if letter.confidence < below), None)


def _outline(number: int, line: SeenLine) -> str:
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in line.line.polygon)
    level = "sure" if line.confidence >= SURE else "fair" if line.confidence >= FAIR else "weak"
    title = escaped(f"{number + 1}. {line.text}")
    return f'<polygon class="{level}" data-line="{number}" points="{points}"><title>{title}</title></polygon>'


def _item(work: Work, place: int, line: SeenLine) -> str:
    sent = work.sent.get((work.sheet, place))
    current = ' aria-current="true"' if place == work.at else ' tabindex="-1"'
    text = shaded(line.text, line.letters) if sent is None else escaped(sent)
    badge = sureness(line.confidence) if sent is None else '<span class="badge sent">&#10003; sent</span>'
    return (
        f'<li><button type="button" class="line" data-line="{place}"{current}><span class="number">{place + 1}'
        f'</span><span class="read" dir="auto">{text}</span>{badge}</button></li>'
    )
