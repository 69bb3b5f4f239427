"""The error rate measured on lines that were corrected as a sample.

The verdict's `measured`, for every model at once and of the newest lines only: Prometheus asks again and again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from htr.corrected_lines import CorrectedLines, SampledErrors

NEWEST = 500
"""So many of the newest audited lines of a model are counted: what it reads now, not what it read last year."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Measures by one store."""

    lines: CorrectedLines

    def measure(self) -> Mapping[str, SampledErrors]:
        """Return the errors of each model's readings, by bundle digest; nothing where there is no store yet.

        Raises:
            DataError: the store is damaged.
        """
        return self.lines.sampled(NEWEST)
