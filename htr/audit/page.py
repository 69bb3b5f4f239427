"""An audit -> the page that people read: one HTML file with its pictures in it, no script, nothing fetched.

Everything that comes from the dataset is escaped, and the page's own policy lets a browser load nothing.
"""

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from htr.audit.findings import Audit, Finding, Rule
from htr.audit.gather import Said, rows_of_ids, rows_said
from htr.audit.measures import images_of
from htr.audit.run import each_rule
from htr.errors import ImageError
from htr.image import decode
from htr.lines import LinesDataset

_STYLE = Path(__file__).with_name("page.css")
FINDINGS_A_RULE = 12
IMAGES_A_FINDING = 4
SHEET_A_SOURCE = 12
"""Lines of every source on the contact sheet."""
MAX_SOURCES = 12
_HEIGHT = 64
"""Pixels of a picture on the page."""
_MAX_WIDTH = 1000
_MAX_TEXT = 160
_COUNTED = {"split": "Split", "source": "Source", "language": "Language", "quarantined": "Left out at import"}


def audit_page(audit: Audit, dataset: LinesDataset) -> str:
    """Return the page.

    Args:
        audit: what was found.
        dataset: what it was found in; its images are shown.
    """
    ruled = [(rule, found) for rule, found in each_rule(audit) if found]
    sheet = _sheet(dataset)
    ids = {
        line_id for _, found in ruled for one in found[:FINDINGS_A_RULE] for line_id in one.ids[:IMAGES_A_FINDING]
    }
    number = rows_of_ids(dataset, ids)
    shown = set(number.values()).union(*sheet.values())
    rows = rows_said(dataset, shown)
    pictures = {at: _picture(data) for at, data in images_of(dataset, shown).items()}
    parts = [
        f"<h1>Audit of {escape(audit.dataset)}</h1>",
        f'<p class="quiet">{audit.num_lines} lines, content <code>{escape(audit.digest)}</code></p>',
        _verdict(audit),
        "<h2>What is in it</h2>",
        _counts(dataset),
        "<h2>Rules</h2>",
        _rules(audit),
        *(_section(rule, found, rows, number, pictures) for rule, found in ruled),
        "<h2>A look at the lines</h2>",
        "<p>Some of every source, from as many pages as there is room for: image and label should belong "
        "together.</p>",
        *(_contact(source, at, rows, pictures) for source, at in sheet.items()),
        "<footer>The same findings, complete, one JSON object a line: <code>audit.jsonl</code></footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>Audit of {escape(audit.dataset)}</title>\n<style>{_STYLE.read_text(encoding='utf-8')}</style>"
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _verdict(audit: Audit) -> str:
    errors, warnings = audit.count("error"), audit.count("warning")
    kind = "error" if errors else "warning" if warnings else "good"
    said = "Errors to mend." if errors else "Worth a look." if warnings else "Nothing found."
    held = (
        f"labels were held against model <code>{escape(audit.model)}</code>" if audit.model else "without a model"
    )
    return (
        f'<div class="verdict {kind}"><b>{said}</b> {errors} errors and {warnings} warnings by {len(audit.rules)} '
        f"rules, {held}.</div>"
    )


def _counts(dataset: LinesDataset) -> str:
    counts = dataset.info.counts
    tables = [
        f'<table><thead><tr><th>{title}</th><th class="n">Lines</th></tr></thead><tbody>'
        + "".join(
            f'<tr><td>{escape(value or "(unknown)")}</td><td class="n">{count}</td></tr>'
            for value, count in counts[name].items()
        )
        + "</tbody></table>"
        for name, title in _COUNTED.items()
        if counts.get(name)
    ]
    policy = dataset.info.lineage.get("policy")
    if policy:
        tables.append(
            f"<table><thead><tr><th>Policy {escape(policy['name'])}</th><th></th>"
            '<th class="n">Took</th></tr></thead><tbody>'
            + "".join(
                f"<tr><td>{escape(name)}</td><td>{escape(str(rule['action']))}</td>"
                f'<td class="n">{rule["took"]}</td></tr>'
                for name, rule in policy["rules"].items()
            )
            + "</tbody></table>"
        )
    return f'<div class="side">{"".join(tables)}</div>'


def _rules(audit: Audit) -> str:
    rows = [
        f'<tr><td><span class="tag {rule.severity if found else "good"}">'
        f"{rule.severity if found else 'passed'}</span></td>"
        f'<td>{escape(rule.promise)}<br><code class="quiet">{rule.name}</code></td>'
        f'<td>{escape(rule.remedy) if found else ""}</td><td class="n">{len(found)}</td></tr>'
        for rule, found in each_rule(audit)
    ]
    return (
        '<div class="wide"><table><thead><tr><th>Verdict</th><th>What should hold</th><th>Remedy</th>'
        f'<th class="n">Findings</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _section(
    rule: Rule,
    found: list[Finding],
    rows: Mapping[int, Said],
    number: Mapping[str, int],
    pictures: Mapping[int, str],
) -> str:
    cards = [
        '<div class="card"><p>'
        + escape(_cut(one.detail))
        + (f' <span class="quiet">({one.score:.2f})</span>' if one.score is not None else "")
        + "</p>"
        + "".join(_line(rows[number[i]], pictures[number[i]]) for i in one.ids[:IMAGES_A_FINDING] if i in number)
        + (
            f'<p class="quiet">and {len(one.ids) - IMAGES_A_FINDING} more lines</p>'
            if len(one.ids) > IMAGES_A_FINDING
            else ""
        )
        + "</div>"
        for one in found[:FINDINGS_A_RULE]
    ]
    of = f"{FINDINGS_A_RULE} of {len(found)}" if len(found) > FINDINGS_A_RULE else str(len(found))
    return (
        f'<h3><span class="tag {rule.severity}">{rule.severity}</span> {escape(rule.promise)} '
        f'<span class="quiet">({of})</span></h3><div class="cards">{"".join(cards)}</div>'
    )


def _contact(source: str, at: Iterable[int], rows: Mapping[int, Said], pictures: Mapping[int, str]) -> str:
    cards = "".join(f'<div class="card">{_line(rows[row], pictures[row], text=True)}</div>' for row in at)
    return f'<h3>{escape(source or "(unknown source)")}</h3><div class="cards">{cards}</div>'


def _line(row: Said, picture: str, *, text: bool = False) -> str:
    image = f'<img src="{picture}" alt="">' if picture else '<p class="quiet">cannot be decoded</p>'
    label = f"<p>{escape(_cut(row['text']))}</p>" if text else ""
    told = " · ".join(filter(None, (row["id"], row["split"], row["writer"] and f"writer {row['writer']}")))
    return f'{image}{label}<p class="quiet"><code>{escape(told)}</code></p>'


def _sheet(dataset: LinesDataset) -> dict[str, list[int]]:
    """Return row numbers of each of the largest sources, spread over its pages and then over their lines."""
    table = dataset.columns(["source", "page"])
    (codes, sources), (pages, _) = _coded(table["source"]), _coded(table["page"])
    counts = dict(zip(sources, np.bincount(codes, minlength=len(sources)).tolist(), strict=True))
    largest = sorted(sources, key=lambda source: (-counts[source], source))[:MAX_SOURCES]
    return {source: _spread(np.flatnonzero(codes == sources.index(source)), pages) for source in largest}


def _coded(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], list[str]]:
    coded = column.cast(pa.string()).fill_null("").combine_chunks().dictionary_encode()
    return coded.indices.to_numpy(), coded.dictionary.to_pylist()


def _spread(rows: npt.NDArray[np.int64], pages: npt.NDArray[np.int32]) -> list[int]:
    of_page, firsts = np.unique(pages[rows], return_index=True)
    shown = _evenly(of_page[np.argsort(firsts)], SHEET_A_SOURCE)
    each = -(-SHEET_A_SOURCE // len(shown))
    chosen = [row for page in shown.tolist() for row in _evenly(rows[pages[rows] == page], each).tolist()]
    return [int(row) for row in _evenly(np.array(sorted(chosen)), SHEET_A_SOURCE)]


def _evenly(values: npt.NDArray[np.integer], count: int) -> npt.NDArray[np.integer]:
    """Return so many of the values at most, from the middle of as many equal parts."""
    if len(values) <= count:
        return values
    return np.asarray(values[(2 * np.arange(count) + 1) * len(values) // (2 * count)])


def _picture(data: bytes) -> str:
    """Return an image as a small PNG that every browser shows, or "" where it cannot be decoded."""
    try:
        grey = decode(data)
    except ImageError:
        return ""
    image = Image.fromarray(np.ascontiguousarray(grey))
    image.thumbnail((_MAX_WIDTH, _HEIGHT if image.width > image.height else 3 * _HEIGHT))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."
