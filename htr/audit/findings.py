"""What an audit found: rules, findings, and the list of them that other programs read, one JSON object a line.

    {"kind": "audit", "format_version": 1, "dataset": ..., "digest": ..., "num_lines": ..., "model": ...}
    {"kind": "finding", "rule": ..., "severity": ..., "ids": [...], "splits": [...], "score": ..., "detail": ...}
    {"kind": "end", "findings": 2, "errors": 1, "warnings": 1, "rules": {"blank": 0, ...}}

A list without its last line was cut off, and is refused.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from htr.errors import DataError

FORMAT_VERSION = 1
Severity = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What should hold."""

    name: str
    severity: Severity
    """An error makes figures or training wrong; a warning wants somebody to look."""
    promise: str
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is not as it should be, and the lines that it is about."""

    rule: str
    severity: Severity
    ids: tuple[str, ...]
    """Of all lines that it is about, in stored order."""
    splits: tuple[str, ...]
    """In which these lines are, sorted, each once."""
    score: float | None = None
    """How sure the rule is, greater is surer; only comparable within a rule. None where it is a matter of fact."""
    detail: str
    """What is wrong, in a few words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """All that was found."""

    dataset: str
    """Name of its folder."""
    digest: str
    num_lines: int
    model: str | None
    """Digest of the bundle that labels were held against; None where there was none."""
    rules: dict[str, int]
    """Every rule that was asked, and how many findings it has."""
    findings: tuple[Finding, ...]
    """By rule in their order, the surest first."""

    def count(self, severity: Severity) -> int:
        """Return how many findings are errors, or warnings."""
        return sum(finding.severity == severity for finding in self.findings)

    def lines(self, rule: str) -> list[str]:
        """Return the ids of all lines that a rule's findings are about, each once, in order."""
        return list(dict.fromkeys(i for finding in self.findings if finding.rule == rule for i in finding.ids))


def audit_text(audit: Audit) -> str:
    """Return the list as JSON Lines."""
    return "".join(audit_rows(audit))


def audit_rows(audit: Audit) -> Iterator[str]:
    """Yield the list line by line."""
    counts = Counter(finding.severity for finding in audit.findings)
    head = {"kind": "audit", "format_version": FORMAT_VERSION, "dataset": audit.dataset, "digest": audit.digest}
    yield _row(head | {"num_lines": audit.num_lines, "model": audit.model})
    for finding in audit.findings:
        yield _row({"kind": "finding", **asdict(finding)})
    end = {"findings": len(audit.findings), "errors": counts["error"], "warnings": counts["warning"]}
    yield _row({"kind": "end", **end, "rules": audit.rules})


def _row(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def read_audit(path: Path) -> Audit:
    """Read a list of findings.

    Raises:
        DataError: it is missing, cut off, damaged, or of another version.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return _audit(rows, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give the audit.jsonl of an audit") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path}: damaged ({error!r}); audit the dataset again") from error


def _audit(rows: Sequence[dict[str, Any]], path: Path) -> Audit:
    head, end = rows[0], rows[-1]
    if head.get("kind") != "audit" or head.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{path}: format version {head.get('format_version')!r}, this one reads {FORMAT_VERSION}; audit again"
        )
    if end.get("kind") != "end" or end["findings"] != len(rows) - 2:
        raise DataError(f"{path}: was cut off; audit the dataset again")
    names = {field.name for field in fields(Finding)}
    findings = [{name: row[name] for name in names} for row in rows[1:-1]]
    return Audit(
        dataset=head["dataset"],
        digest=head["digest"],
        num_lines=head["num_lines"],
        model=head["model"],
        rules=end["rules"],
        findings=tuple(
            Finding(**row | {"ids": tuple(row["ids"]), "splits": tuple(row["splits"])}) for row in findings
        ),
    )
