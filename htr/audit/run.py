"""The audit: a lines dataset in, every finding out."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from htr.audit import leaks, pictures, texts
from htr.audit.copies import Copies, exact_copies, near_copies
from htr.audit.findings import Audit, Finding, Rule
from htr.audit.gather import COLUMNS, Group, gathered, said_of
from htr.audit.ledger import Entries, Ledger
from htr.audit.measures import Measured, measured_lines
from htr.audit.mislabels import Suspect, suspects
from htr.audit.rules import RULES, WITH_MODEL
from htr.audit.spill import spilled_greys
from htr.image import Geometry
from htr.lines import LinesDataset
from htr.recogniser import Recogniser

Progress = Callable[[str, int, int], None]
"""Called with what is being done (``lines measured``), how many are done and how many there are."""

OfLine = Callable[[Measured], str]

_LINES: dict[str, OfLine] = {
    "undecodable": pictures.undecodable,
    "infeasible": pictures.infeasible,
    "placeholder": texts.placeholder,
    "too_long": texts.too_long,
    "unseen_character": texts.unseen,
    "mixed_scripts": texts.mixed_scripts,
    "blank": pictures.blank,
    "faint": pictures.faint,
    "inverted": pictures.inverted,
    "lying": pictures.lying,
    "too_small": pictures.too_small,
}
Found = dict[str, list[Finding]]


def audit_lines(
    dataset: LinesDataset,
    *,
    recogniser: Recogniser | None = None,
    suspect_share: float = 0.06,
    on_progress: Progress = lambda *_: None,
) -> Audit:
    """Ask every rule about a lines dataset.

    Memory holds 109 bytes a line, and what is found.

    Args:
        dataset: what is to be trained on.
        recogniser: what labels are held against; without one they are not.
        suspect_share: at most that share of the lines is listed as mislabelled, 0..1.
        on_progress: called as it goes on.

    Raises:
        DataError: a shard is damaged.
    """
    total = len(dataset)
    found: Found = {name: [] for name in RULES}
    geometry = recogniser.bundle.geometry if recogniser else Geometry()
    ledger = _pass(dataset, geometry, found, lambda done: on_progress("lines measured", done, total))
    _leaks(ledger, dataset, found)
    _copies(ledger, dataset, found, lambda done, pairs: on_progress("pairs compared", done, pairs))
    if recogniser:
        read = suspects(
            recogniser,
            dataset.lines(),
            num_lines=total,
            share=suspect_share,
            on_line=lambda done: on_progress("lines read", done, total),
        )
        _mislabels(dataset, read, found)
        _beyond(dataset, recogniser, found)
    asked = [name for name in RULES if recogniser or name not in WITH_MODEL]
    return Audit(
        dataset=dataset.path.resolve().name,
        digest=dataset.digest,
        num_lines=total,
        model=recogniser.digest if recogniser else None,
        rules={name: len(found[name]) for name in asked},
        findings=tuple(one for name in asked for one in found[name]),
    )


def _pass(dataset: LinesDataset, geometry: Geometry, found: Found, on_line: Callable[[int], None]) -> Ledger:
    """Ask the rules of single lines, and enter every line in a ledger for the others."""
    entries, rare = Entries(), texts.RareCharacters()
    for line in measured_lines(dataset, geometry, on_line):
        entries.add(line)
        rare.add(line)
        for name, asked in _LINES.items():
            if detail := asked(line):
                found[name].append(_finding(name, [_name(line)], {line.split}, detail))
    for group, detail in rare.found():
        found["rare_character"].append(
            _finding("rare_character", map(_name, group), {line.split for line in group}, detail)
        )
    return entries.ledger()


def _leaks(ledger: Ledger, dataset: LinesDataset, found: Found) -> None:
    for name, keys, said in (
        ("writer_in_two_splits", ledger.writer, leaks.named_writer),
        ("page_in_two_splits", ledger.page, leaks.named_page),
        ("text_in_two_splits", ledger.written, leaks.named_text),
    ):
        groups = gathered(dataset, leaks.rows_in_two_splits(keys, ledger))
        found[name] += [_finding(name, group.ids, group.splits, said(group)) for group in groups]


def _copies(ledger: Ledger, dataset: LinesDataset, found: Found, on_pair: Callable[[int, int], None]) -> None:
    exact = exact_copies(ledger)
    known = {copies.rows for copies in exact}
    near = near_copies(ledger, lambda rows: spilled_greys(dataset, rows), on_pair)
    near = sorted((copies for copies in near if copies.rows not in known), key=lambda one: -one.correlation)
    for prefix, all_copies in (("", exact), ("near_", near)):
        groups = gathered(dataset, [copies.rows for copies in all_copies])
        for copies, group in zip(all_copies, groups, strict=True):
            _sort_out(copies, group, prefix, found)


def _sort_out(copies: Copies, group: Group, near: str, found: Found) -> None:
    """Put copies under the worst rule that they break, and under that of their labels."""
    score = copies.correlation if near else None
    name = f"{near}copy_in_two_splits" if len(group.splits) > 1 else f"{near}copy"
    likeness = f"alike ({copies.correlation:.2f})" if near else "the same"
    detail = f"{len(group.ids)} images are {likeness}, in {' and '.join(sorted(group.splits))}"
    found[name].append(_finding(name, group.ids, group.splits, detail, score))
    if len(group.texts) > 1:
        detail = f"{likeness} image, labels {', '.join(map(repr, group.texts))}"
        found["conflicting_labels"].append(_finding("conflicting_labels", group.ids, group.splits, detail, score))


def _mislabels(dataset: LinesDataset, read: Sequence[Suspect], found: Found) -> None:
    for suspect, group in zip(read, gathered(dataset, [[suspect.row] for suspect in read]), strict=True):
        name = "upside_down" if suspect.upside_down else "likely_mislabel"
        detail = f"label {group.first['text']!r}, read as {suspect.reading!r}"
        found[name].append(_finding(name, group.ids, group.splits, detail, round(suspect.disagreement, 3)))


def _beyond(dataset: LinesDataset, recogniser: Recogniser, found: Found) -> None:
    holders: dict[str, Group] = {}
    row = 0
    for batch in dataset.batches(COLUMNS):
        for at in range(batch.num_rows):
            said = said_of(batch, at)
            for character in recogniser.bundle.alphabet.missing(said["text"]):
                holders.setdefault(character, Group()).add(said, row + at)
        row += batch.num_rows
    for character, group in sorted(holders.items(), key=lambda pair: -len(pair[1].ids)):
        detail = f"the model cannot write {character!r}, which {len(group.ids)} lines hold"
        found["beyond_alphabet"].append(_finding("beyond_alphabet", group.ids, group.splits, detail))


def _name(line: Measured) -> str:
    return line.id or f"row {line.row}"


def _finding(
    rule: str, ids: Iterable[str], splits: Iterable[str], detail: str, score: float | None = None
) -> Finding:
    return Finding(
        rule=rule,
        severity=RULES[rule].severity,
        ids=tuple(ids),
        splits=tuple(sorted(splits)),
        score=score,
        detail=detail,
    )


def each_rule(audit: Audit) -> Iterator[tuple[Rule, list[Finding]]]:
    """Yield every rule that was asked with its findings; errors first, then warnings, then what found nothing."""
    by_rule: dict[str, list[Finding]] = {name: [] for name in audit.rules}
    for one in audit.findings:
        by_rule[one.rule].append(one)
    order = sorted(by_rule, key=lambda name: (not by_rule[name], RULES[name].severity == "warning"))
    for name in order:
        yield RULES[name], by_rule[name]
