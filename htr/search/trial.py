"""One try: settings in, a validation CER out, or the reason why there is none."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from htr.errors import DataError
from htr.settings import flat, in_kind

COMPLETE, PRUNED, DIVERGED, FAILED, RUNNING = "complete", "pruned", "diverged", "failed", "running"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One try and what came of it so far."""

    number: int
    """From 0."""
    settings: dict[str, Any]
    """All that differs from the defaults, nested: fit for ``htr train --config`` as it is."""
    sampled: dict[str, Any]
    """Those of the settings that are searched, by dotted name."""
    state: str = RUNNING
    """``running``, ``complete``, ``pruned`` (stopped early as one of the weaker), ``diverged``, or ``failed``
    (its settings cannot be trained with)."""
    cer: float | None = None
    """Lowest CER on the validation lines, as a fraction; only of a complete trial."""
    history: dict[int, float] = field(default_factory=dict)
    """Validation CER by epoch, from 1."""
    seconds: float = 0.0
    """What training took, as far as the process that ended it knows."""
    reason: str = ""
    """Why it diverged or failed."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is not known is left out, since KFP's local runner takes no null."""
        values = asdict(self) | {"history": {str(epoch): cer for epoch, cer in self.history.items()}}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Trial":
        """Rebuild a trial that went through JSON, or through KFP, which makes floats of whole numbers."""
        history = {int(float(epoch)): float(cer) for epoch, cer in values["history"].items()}
        settings = in_kind(values["settings"])
        sampled = {name: value for name, value in flat(settings).items() if name in values["sampled"]}
        given = {"number": int(values["number"]), "settings": settings, "sampled": sampled, "history": history}
        return cls(**{**values, **given})


def best_of(trials: Iterable[Trial]) -> Trial:
    """Return the complete trial with the lowest CER, the first of equals.

    Raises:
        DataError: none is complete.
    """
    trials = list(trials)
    complete = [trial for trial in trials if trial.state == COMPLETE and trial.cer is not None]
    if not complete:
        reasons = sorted({trial.reason for trial in trials if trial.reason})
        raise DataError(f"none of {len(trials)} trials came to its end: {'; '.join(reasons) or 'all unfinished'}")
    return min(complete, key=lambda trial: (trial.cer, trial.number))
