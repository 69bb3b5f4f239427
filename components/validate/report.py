"""What validation found: one `Check` a rule, and the verdict over all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from htr.errors import DataError

FORMAT_VERSION = 1
_SHOWN_IN_MESSAGE = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One line, or one shard, that is not as it should be."""

    id: str
    detail: str
    """What is wrong with it, in a few words."""
    row: int | None
    """Number of the line in the dataset, from 0; None for a shard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One rule and what became of it."""

    name: str
    promise: str
    """What should hold."""
    severity: Literal["error", "warning"]
    """Of what was found; of a check that passed, the worst it could have been."""
    passed: bool
    found: int
    """Lines (or shards) that are not as they should be."""
    judged: int
    """Lines (or shards) that were looked at."""
    message: str
    remedy: str
    examples: Sequence[Example]
    expectation: str
    """The Great Expectations expectation that decided."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationReport:
    """The verdict on a lines dataset."""

    dataset: str
    """Where it lies."""
    digest: str
    num_lines: int
    counts: Mapping[str, Mapping[str, int]]
    """Lines by ``split``, ``source`` and ``language``, and ``quarantined`` at the import by reason."""
    checks: Sequence[Check]
    """Failed errors first, then failed warnings, then what passed."""

    @property
    def errors(self) -> list[Check]:
        """Checks that must be mended before training."""
        return [check for check in self.checks if not check.passed and check.severity == "error"]

    @property
    def warnings(self) -> list[Check]:
        """Checks that failed, and that training can live with."""
        return [check for check in self.checks if not check.passed and check.severity == "warning"]

    @property
    def ok(self) -> bool:
        """Whether training may go on; warnings do not hinder it."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "format_version": FORMAT_VERSION,
            "dataset": self.dataset,
            "digest": self.digest,
            "ok": self.ok,
            "num_lines": self.num_lines,
            "counts": {name: dict(counts) for name, counts in self.counts.items()},
            "checks": [asdict(check) for check in self.checks],
        }

    def metrics(self) -> dict[str, float]:
        """Return the figures to log."""
        return {
            "num_lines": self.num_lines,
            "checks": len(self.checks),
            "errors": len(self.errors),
            "warnings": len(self.warnings),
        }

    def raise_on_errors(self) -> None:
        """Do nothing where there are warnings at most.

        Raises:
            DataError: lists the failed checks with examples and remedies, one below the other.
        """
        if self.ok:
            return
        of = f"{len(self.errors)} of {len(self.checks)} checks failed"
        text = [f"{self.dataset}: not fit for training, {of} (and {len(self.warnings)} with a warning)"]
        for number, check in enumerate(self.errors, start=1):
            text += [f"  {number}. {check.name}: {check.message}"]
            text += [f"       {e.id}: {e.detail}" for e in check.examples[:_SHOWN_IN_MESSAGE]]
            if check.found > _SHOWN_IN_MESSAGE and check.examples:
                text += [f"       ... and {check.found - _SHOWN_IN_MESSAGE:,} more"]
            text += [f"     remedy: {check.remedy}"]
        raise DataError("\n".join(text))
