"""What a search leaves: the best settings, a table of all trials.

OUT/best.json     settings of the best trial, for ``htr train --config`` and the pipeline's ``settings``
OUT/trials.csv    one row a trial
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from htr.errors import OutputError
from htr.search.trial import COMPLETE, Trial, best_of

BEST, TABLE = "best.json", "trials.csv"


def write_tables(trials: Sequence[Trial], out: Path) -> None:
    """Write the table, and the best settings as soon as a trial is complete; each is replaced at once.

    Raises:
        OutputError: they cannot be written.
    """
    stream = io.StringIO()
    sampled = list(dict.fromkeys(name for trial in trials for name in trial.sampled))
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["trial", "state", "cer", "epochs", "seconds", *sampled, "reason"])
    for t in sorted(trials, key=lambda trial: trial.number):
        cer = "" if t.cer is None else t.cer
        values = [t.sampled.get(name, "") for name in sampled]
        table.writerow([t.number, t.state, cer, max(t.history, default=0), round(t.seconds, 1), *values, t.reason])
    _replace(out / TABLE, stream.getvalue())
    if any(trial.state == COMPLETE for trial in trials):
        _replace(out / BEST, json.dumps(best_of(trials).settings, indent=2) + "\n")


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
