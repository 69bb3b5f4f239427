"""Results -> one table, as JSON, Markdown and an HTML page: a column a peer, a row a measure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.bench import FORMAT_VERSION, Result, write_json
from benchmarks.peers.children import clock_text
from benchmarks.peers.protocol import Settings
from benchmarks.peers.scoring import Difference, Score
from htr.errors import OutputError

ABSENT = "–"

_PAGE = """
<h1>{{ heading }}</h1>
<p>{{ about }}</p>
<table>
<thead><tr>{% for cell in head %}<th>{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The comparison, ready to be shown."""

    about: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)
    """Reasons of peers without a result, remarks of adapters, differences to ours."""


def build_table(
    results: Sequence[Result], settings: Settings, sizes: dict[str, int], differences: dict[str, Difference]
) -> Table:
    """Return the table.

    Args:
        results: in the order of the columns; those without a score have a column too.
        settings: what all peers shared.
        sizes: lines of each split.
        differences: by peer, CER of ours less its own.
    """
    groups = sorted({group for result in results for group in result.scores} - {"all"})
    rows = [
        _row(f"CER, {_group(results, g)}", results, lambda r, g=g: _cer(r.scores[g])) for g in ("all", *groups)
    ]
    rows += [
        _row(f"exact match, {_group(results, g)}", results, lambda r, g=g: _exact(r.scores[g]))
        for g in ("all", *groups)
    ]
    rows += [
        _row("training lines/s", results, lambda r: _number(r.training.lines_per_s)),
        _row("training lines shown", results, lambda r: _count(r.training.lines_shown)),
        _row("training time, m:ss", results, lambda r: _clock(r.training.seconds)),
        _row("reading lines/s, 1 core, batch 1", results, lambda r: _number(r.one_thread_lines_per_s)),
        _row(
            f"reading lines/s, {settings.threads} core{'s' if settings.threads > 1 else ''}, best batch",
            results,
            lambda r: f"{_number(r.all_cores_lines_per_s)} (batch {r.all_cores_batch})",
        ),
        _row("parameters", results, lambda r: _count(r.parameters)),
        _row("bytes on disk", results, lambda r: _count(r.training.bytes_on_disk)),
        _row(
            f"lines whose text changes with batch size (1 to {settings.compared_batch})",
            results,
            lambda r: f"{r.changed_lines} of {r.compared_lines} ({r.changed_lines / r.compared_lines:.1%})",
        ),
    ]
    about = (
        f"{sizes['train']:,} training, {sizes['val']:,} validation and {sizes['test']:,} test lines of height "
        f"{settings.height}; {settings.minutes:g} minutes of training on {settings.threads} "
        f"core{'s' if settings.threads > 1 else ''}, seed {settings.seed}. "
        "In brackets 95 % bootstrap intervals over lines."
    )
    head = [
        "",
        *(f"{r.peer} {r.version}".strip() + ("" if r.state == "done" else f" ({r.state})") for r in results),
    ]
    return Table(about=about, head=head, rows=rows, notes=_notes(results, differences))


def markdown(table: Table) -> str:
    """Return the table as Markdown."""
    lines = [table.about, "", _line(table.head), "|---" * len(table.head) + "|", *map(_line, table.rows), ""]
    return "\n".join([*lines, *(f"- {note}" for note in table.notes)]).rstrip() + "\n"


def write_table(
    out: Path, table: Table, results: Sequence[Result], differences: dict[str, Difference], facts: dict[str, Any]
) -> list[Path]:
    """Write ``bench.json``, ``bench.md`` and, where Jinja is installed, ``bench.html``; return what was written.

    Raises:
        OutputError: the folder cannot be written.
    """
    files = [out / "bench.json", out / "bench.md"]
    values = {"format_version": FORMAT_VERSION, "facts": facts, "peers": [asdict(r) for r in results]}
    write_json(files[0], {**values, "ours_minus_peer": {name: asdict(d) for name, d in differences.items()}})
    try:
        files[1].write_text(markdown(table), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{files[1]}: cannot be written ({error.strerror}); choose another --out") from error
    try:
        from components.page import render, write_page

        title = "Peers, side by side"
        html = render(
            title, _PAGE, heading=title, about=table.about, head=table.head, rows=table.rows, notes=table.notes
        )
    except ImportError:  # without the pipeline extra there is no page, and the table is there all the same
        return files
    write_page(out / "bench.html", html)
    return [*files, out / "bench.html"]


def _row(name: str, results: Sequence[Result], cell: Any) -> list[str]:
    return [name, *(cell(result) if result.state == "done" else ABSENT for result in results)]


def _group(results: Sequence[Result], group: str) -> str:
    lines = next((result.scores[group].lines for result in results if group in result.scores), 0)
    return f"{group} ({lines:,})"


def _cer(score: Score) -> str:
    return f"{score.cer:.2%} [{score.cer_interval[0]:.1%}, {score.cer_interval[1]:.1%}]"


def _exact(score: Score) -> str:
    return f"{score.exact:.1%} [{score.exact_interval[0]:.1%}, {score.exact_interval[1]:.1%}]"


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _count(value: int | None) -> str:
    return ABSENT if value is None else f"{value:,}"


def _clock(value: float | None) -> str:
    return ABSENT if value is None else clock_text(value)


def _notes(results: Sequence[Result], differences: dict[str, Difference]) -> list[str]:
    notes = [f"{r.peer}: {r.state}: {r.reason}" for r in results if r.state != "done"]
    notes += [f"{r.peer}: {note}" for r in results if r.training for note in r.training.notes]
    for name, d in differences.items():
        low, high = (100 * bound for bound in d.interval)
        notes.append(f"CER of ours less that of {name}: {100 * d.value:+.2f} points [{low:+.1f}, {high:+.1f}]")
    return notes


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
