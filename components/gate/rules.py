"""Evaluation report -> decision, by stated rules. Pure: the same report always gives the same decision.

    first    no champion: promote when the golden CER is below a ceiling
    recent   corrected lines were held back: promote when better on them, and not worse than a margin on the
             golden test and on any subset of it
    golden   nothing recent: promote when better on the golden test by more than the margin

"Better" means that the whole 95 % interval of the paired difference lies below zero. Ties do not promote.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from htr.errors import DataError
from htr.metrics import paired_bootstrap

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One comparison that the decision rests on; differences are challenger minus champion, in CER."""

    name: str
    passed: bool
    lines: int
    difference: float
    interval: tuple[float, float]
    wanted: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Whether to promote, and why."""

    promote: bool
    rule: str
    """``first``, ``recent`` or ``golden``."""
    reason: str
    """One sentence for people."""
    checks: list[Check]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}


def decide(report: dict[str, Any], *, cer_ceiling: float, margin: float) -> Decision:
    """Apply the rules.

    Args:
        report: as htr.report builds it.
        cer_ceiling: golden CER that a first model must stay below, as a fraction.
        margin: CER by which a challenger may be worse on golden and its subsets, as a fraction.

    Raises:
        DataError: the report has no golden test lines.
    """
    golden = [line for line in report["lines"] if line["split"] == "test"]
    recent = [line for line in report["lines"] if line["split"] == "recent"]
    if not golden:
        raise DataError("the evaluation report has no test lines; the gate needs a golden test to judge by")
    if report["champion"] is None:
        return _first(report["challenger"]["splits"]["test"], cer_ceiling)
    if recent:
        sources = sorted({line["source"] for line in golden})
        groups = (
            {"golden": golden}
            if len(sources) < 2
            else {
                "golden": golden,
                **{f"golden {s}": [line for line in golden if line["source"] == s] for s in sources},
            }
        )
        return _verdict(
            "recent",
            [_better("recent", recent, 0.0), *(_not_worse(name, lines, margin) for name, lines in groups.items())],
        )
    return _verdict("golden", [_better("golden", golden, margin)])


def _first(golden: dict[str, Any], ceiling: float) -> Decision:
    cer, (low, high) = golden["cer"], golden["cer_interval"]
    passed = cer < ceiling
    check = Check(
        name="golden",
        passed=passed,
        lines=golden["lines"],
        difference=cer - ceiling,
        interval=(low - ceiling, high - ceiling),
        wanted=f"CER below {ceiling:.1%}",
    )
    reason = f"no champion yet; golden CER {cer:.1%} against a ceiling of {ceiling:.1%}"
    return Decision(promote=passed, rule="first", reason=reason, checks=[check])


def _better(name: str, lines: Sequence[dict[str, Any]], by: float) -> Check:
    difference, low, high = _paired(lines)
    wanted = f"better{f' by more than {by:.1%}' if by else ''}, interval below zero"
    passed = difference < -by and high < 0
    return Check(
        name=name, passed=passed, lines=len(lines), difference=difference, interval=(low, high), wanted=wanted
    )


def _not_worse(name: str, lines: Sequence[dict[str, Any]], margin: float) -> Check:
    difference, low, high = _paired(lines)
    return Check(
        name=name,
        passed=difference <= margin,
        lines=len(lines),
        difference=difference,
        interval=(low, high),
        wanted=f"not worse by more than {margin:.1%}",
    )


def _paired(lines: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
    missing = [line["id"] for line in lines if line["champion_edits"] is None]
    if missing:
        raise DataError(
            f"the champion did not read {len(missing)} of the lines, such as {missing[0]!r}; evaluate again"
        )
    return paired_bootstrap(
        [line["edits"] for line in lines],
        [line["champion_edits"] for line in lines],
        [line["characters"] for line in lines],
    )


def _verdict(rule: str, checks: list[Check]) -> Decision:
    failed = [check for check in checks if not check.passed]
    told = "; ".join(f"{c.name} CER {c.difference:+.1%} (wanted: {c.wanted})" for c in failed or checks)
    return Decision(promote=not failed, rule=rule, reason=told, checks=checks)
