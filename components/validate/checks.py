"""Validation: a lines dataset in, the verdict of every rule out.

    1. shards: columns, types, row counts, digests; where they fail, no line is looked at
    2. one pass over the lines makes a table of measures, without the images
    3. Great Expectations holds the table against the rules

Every check is decided by an expectation; what it says to people is put together here.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.page import write_page
from components.validate.expectations import Found, expect
from components.validate.neighbours import add_copies, add_coverage, add_near_copies, add_places
from components.validate.report import Check, Example, ValidationReport
from components.validate.report_page import validation_page
from components.validate.rule import Rule
from components.validate.rules_of_lines import FIELD_RULES, IMAGE_RULES, SHARD_RULES, TEXT_RULES
from components.validate.rules_of_splits import SPLIT_RULES, coverage_rule
from components.validate.tables import lines_table, shards_table
from htr.audit.measures import measured_lines
from htr.image import Geometry
from htr.lines import LinesDataset

if TYPE_CHECKING:
    import pandas as pd

MAX_EXAMPLES = 20
_MAX_CANDIDATES = 2000
_MAX_TEXT = 100
"""Characters of one value that are shown in an example."""


def validate_lines(
    dataset: LinesDataset,
    *,
    geometry: Geometry | None = None,
    report: Path | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> ValidationReport:
    """Check a lines dataset by every rule.

    Args:
        dataset: what is to be trained on.
        geometry: scaling that training will use; its default where there is none.
        report: where to write the page that people read; none is written without it.
        on_progress: called with the number of lines looked at so far.

    Returns:
        The verdict; see `ValidationReport.raise_on_errors`.

    Raises:
        DataError: a shard cannot be read to its end.
        OutputError: the page cannot be written.
    """
    shards = shards_table(dataset)
    checks = _held_against(shards, SHARD_RULES, unit="shards", name="file")
    if all(check.passed for check in checks):
        lines = list(measured_lines(dataset, geometry or Geometry(), on_progress))
        table = lines_table(lines)
        add_coverage(table)
        add_places(table)
        add_copies(table)
        add_near_copies(table, lines, dataset)
        rules = [*FIELD_RULES, *TEXT_RULES, coverage_rule(table), *IMAGE_RULES, *SPLIT_RULES]
        checks += _held_against(table, rules, unit="lines", name="id")
    found = ValidationReport(
        dataset=str(dataset.path),
        digest=dataset.digest,
        num_lines=len(dataset),
        counts=dataset.info.counts,
        checks=sorted(checks, key=lambda check: (check.passed, not check.passed and check.severity == "warning")),
    )
    if report is not None:
        write_page(report, validation_page(found, dataset))
    return found


def _held_against(table: "pd.DataFrame", rules: Sequence[Rule], *, unit: str, name: str) -> list[Check]:
    asked = [one for rule in rules for one in (rule.error, rule.warning) if one is not None]
    answers = iter(expect(table, asked))
    return [
        _check(
            rule,
            next(answers) if rule.error is not None else None,
            next(answers) if rule.warning is not None else None,
            table=table,
            unit=unit,
            name=name,
        )
        for rule in rules
    ]


def _check(
    rule: Rule, error: Found | None, warning: Found | None, *, table: "pd.DataFrame", unit: str, name: str
) -> Check:
    found = [one for one in (error, warning) if one is not None]
    failed = [one for one in found if not one.success]
    is_error = error in failed if failed else error is not None
    rows = sorted({row for one in failed for row in one.rows})
    judged = max(one.num_judged for one in found)
    return Check(
        name=rule.name,
        promise=rule.promise,
        severity="error" if is_error else "warning",
        passed=not failed,
        found=len(rows),
        judged=judged,
        message=_message(rule, failed, len(rows), judged, unit),
        remedy=rule.remedy,
        examples=_examples(rule, table, rows, name),
        expectation=str(rule.error if is_error else rule.warning),
    )


def _message(rule: Rule, failed: Sequence[Found], num_rows: int, judged: int, unit: str) -> str:
    if not failed:
        return "as it should be"
    observed = next((one.observed for one in failed if one.observed is not None), None)
    complaint = rule.complaint.format(observed=observed)
    return complaint if "{observed" in rule.complaint else f"{num_rows:,} of {judged:,} {unit} {complaint}"


def _examples(rule: Rule, table: "pd.DataFrame", rows: Sequence[int], name: str) -> list[Example]:
    """Return a few of the rows; one of each fault before a second of any."""
    examples = [_example(rule, table, row, name) for row in rows[:_MAX_CANDIDATES]]
    firsts = {example.detail: example for example in reversed(examples)}
    again = [example for example in examples if firsts[example.detail] is not example]
    return [*reversed(firsts.values()), *again][:MAX_EXAMPLES]


def _example(rule: Rule, table: "pd.DataFrame", row: int, name: str) -> Example:
    values: dict[str, Any] = {
        str(column): value[:_MAX_TEXT] + "..." if isinstance(value, str) and len(value) > _MAX_TEXT else value
        for column, value in table.loc[row].items()
    }
    return Example(
        id=str(table.at[row, name]) or f"row {row}",
        detail=rule.detail.format_map(values),
        row=row if name == "id" else None,
    )
