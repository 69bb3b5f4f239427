"""The audit: a lines dataset in, every finding out."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from htr.audit import leaks, pictures, texts
from htr.audit.copies import Copies, exact_copies, near_copies
from htr.audit.findings import Audit, Finding, Rule
from htr.audit.measures import Measured, greys_of, measured_lines
from htr.audit.mislabels import Suspect, suspects
from htr.audit.rules import RULES, WITH_MODEL
from htr.image import Geometry
from htr.lines import LinesDataset
from htr.recogniser import Recogniser

Progress = Callable[[str, int, int], None]
"""Called with what is being done, lines done and lines in all."""

OfGroups = Callable[[Sequence[Measured]], Iterable[tuple[Sequence[Measured], str]]]
OfLines = Callable[[Sequence[Measured]], Iterable[tuple[Measured, str]]]

_GROUPS: dict[str, OfGroups] = {
    "writer_in_two_splits": leaks.writers_apart,
    "page_in_two_splits": leaks.pages_apart,
    "text_in_two_splits": leaks.texts_apart,
    "rare_character": texts.rare_characters,
}
_LINES: dict[str, OfLines] = {
    "undecodable": pictures.undecodable,
    "infeasible": pictures.infeasible,
    "placeholder": texts.placeholders,
    "too_long": texts.too_long,
    "unseen_character": texts.unseen,
    "mixed_scripts": texts.mixed_scripts,
    "blank": pictures.blank,
    "faint": pictures.faint,
    "inverted": pictures.inverted,
    "lying": pictures.lying,
    "too_small": pictures.too_small,
}


def audit_lines(
    dataset: LinesDataset,
    *,
    recogniser: Recogniser | None = None,
    suspect_share: float = 0.06,
    on_progress: Progress = lambda *_: None,
) -> Audit:
    """Ask every rule about a lines dataset.

    Args:
        dataset: what is to be trained on.
        recogniser: what labels are held against; without one they are not.
        suspect_share: at most that share of the lines is listed as mislabelled, 0..1.
        on_progress: called as it goes on.

    Raises:
        DataError: a shard is damaged.
    """
    total = len(dataset)
    geometry = recogniser.bundle.geometry if recogniser else Geometry()
    lines = list(measured_lines(dataset, geometry, lambda done: on_progress("measured", done, total)))
    found: dict[str, list[Finding]] = {}
    for name, of_groups in _GROUPS.items():
        found[name] = [finding(RULES[name], group, detail) for group, detail in of_groups(lines)]
    for name, of_lines in _LINES.items():
        found[name] = [finding(RULES[name], [line], detail) for line, detail in of_lines(lines)]
    found |= _copies(lines, dataset)
    if recogniser:
        read = suspects(
            recogniser,
            dataset.lines(),
            num_lines=total,
            share=suspect_share,
            on_line=lambda done: on_progress("read", done, total),
        )
        found |= _mislabels(lines, read)
        found["beyond_alphabet"] = _beyond(lines, recogniser)
    asked = [name for name in RULES if recogniser or name not in WITH_MODEL]
    return Audit(
        dataset=dataset.path.resolve().name,
        digest=dataset.digest,
        num_lines=total,
        model=recogniser.digest if recogniser else None,
        rules={name: len(found[name]) for name in asked},
        findings=tuple(one for name in asked for one in found[name]),
    )


def finding(rule: Rule, lines: Sequence[Measured], detail: str, score: float | None = None) -> Finding:
    """Return the finding of a rule about some lines."""
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        ids=tuple(line.id or f"row {line.row}" for line in lines),
        splits=leaks.split_names(lines),
        score=score,
        detail=detail,
    )


def _copies(lines: Sequence[Measured], dataset: LinesDataset) -> dict[str, list[Finding]]:
    names = ("copy_in_two_splits", "near_copy_in_two_splits", "conflicting_labels", "copy", "near_copy")
    found: dict[str, list[Finding]] = {name: [] for name in names}
    exact = exact_copies(lines)
    for copies in exact:
        _sort_out(copies, [lines[row] for row in copies.rows], "", found)
    known = {copies.rows for copies in exact}
    near = [
        copies for copies in near_copies(lines, lambda rows: greys_of(dataset, rows)) if copies.rows not in known
    ]
    for copies in sorted(near, key=lambda one: -one.correlation):
        _sort_out(copies, [lines[row] for row in copies.rows], "near_", found)
    return found


def _sort_out(copies: Copies, group: Sequence[Measured], near: str, found: dict[str, list[Finding]]) -> None:
    """Put copies under the worst rule that they break, and under that of their labels."""
    score = copies.correlation if near else None
    splits = leaks.split_names(group)
    name = f"{near}copy_in_two_splits" if len(splits) > 1 else f"{near}copy"
    likeness = f"alike ({copies.correlation:.2f})" if near else "the same"
    found[name].append(
        finding(RULES[name], group, f"{len(group)} images are {likeness}, in {' and '.join(splits)}", score)
    )
    different = list(dict.fromkeys(line.text for line in group))
    if len(different) > 1:
        detail = f"{likeness} image, labels {', '.join(map(repr, different[:5]))}"
        found["conflicting_labels"].append(finding(RULES["conflicting_labels"], group, detail, score))


def _mislabels(lines: Sequence[Measured], read: Iterable[Suspect]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {"likely_mislabel": [], "upside_down": []}
    for suspect in read:
        name = "upside_down" if suspect.upside_down else "likely_mislabel"
        detail = f"label {lines[suspect.row].text!r}, read as {suspect.reading!r}"
        found[name].append(finding(RULES[name], [lines[suspect.row]], detail, round(suspect.disagreement, 3)))
    return found


def _beyond(lines: Sequence[Measured], recogniser: Recogniser) -> list[Finding]:
    holders: dict[str, list[Measured]] = {}
    for line in lines:
        for character in recogniser.bundle.alphabet.missing(line.text):
            holders.setdefault(character, []).append(line)
    return [
        finding(
            RULES["beyond_alphabet"], group, f"the model cannot write {character!r}, which {len(group)} lines hold"
        )
        for character, group in sorted(holders.items(), key=lambda pair: -len(pair[1]))
    ]


def each_rule(audit: Audit) -> Iterator[tuple[Rule, list[Finding]]]:
    """Yield every rule that was asked with its findings; errors first, then warnings, then what found nothing."""
    by_rule: dict[str, list[Finding]] = {name: [] for name in audit.rules}
    for one in audit.findings:
        by_rule[one.rule].append(one)
    order = sorted(by_rule, key=lambda name: (not by_rule[name], RULES[name].severity == "warning"))
    for name in order:
        yield RULES[name], by_rule[name]
