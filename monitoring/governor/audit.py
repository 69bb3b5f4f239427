"""The error rate measured on lines that were corrected as a sample: a correction store in, CER of each model out.

Only corrections that were chosen as a sample count: what a person looked at because it was misread says nothing
about how much is misread (docs/decisions/0013).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from htr.correction_store import LOG, CorrectionStore
from htr.corrections import SAMPLE
from htr.importers.corrections import last_words
from htr.metrics import ErrorCounts, count_errors

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
            self._found, self._seen = self._measure(), seen
        return self._found

    def _measure(self) -> Mapping[str, ErrorCounts]:
        by_model: dict[str, list[ErrorCounts]] = {}
        for one, first in last_words(CorrectionStore(self.store).read()[0]):
            if first.chosen_by == SAMPLE:
                by_model.setdefault(one.bundle_digest, []).append(count_errors(one.new_text, one.old_text))
        return {digest: sum(counts[-NEWEST:], ErrorCounts()) for digest, counts in by_model.items()}
