"""The error rate measured on lines that were corrected as a sample, kept until the store changes.

The verdict's `measured`, for every model at once and of the newest lines only: Prometheus asks again and again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from htr.correction_store import LOG
from htr.metrics import ErrorCounts
from monitoring.error_rate import sampled_errors

NEWEST = 500
"""So many of the newest audited lines of a model are counted: what it reads now, not what it read last year."""


@dataclass(kw_only=True)
class Audit:
    """Measures by one store, which is read again only when it has changed."""

    store: Path
    _seen: object = field(default=None, repr=False)
    _found: Mapping[str, ErrorCounts] = field(default_factory=dict, repr=False)

    def measure(self) -> Mapping[str, ErrorCounts]:
        """Return the errors of each model's readings, by bundle digest; nothing where there is no store yet.

        Raises:
            DataError: the store is damaged.
        """
        try:
            status = (self.store / LOG).stat()
        except OSError:
            return {}
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        if seen != self._seen:
            sampled = sampled_errors(self.store)
            self._found = {digest: sum(counts[-NEWEST:], ErrorCounts()) for digest, counts in sampled.items()}
            self._seen = seen
        return self._found
