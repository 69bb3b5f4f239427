"""Where every line went, by its id: from the import to the last report."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from htr.lines import CORRECTIONS, LinesDataset

HELD_OUT = {"val": "validated", "test": "tested", "recent": "held back as recent"}


def account_for(
    imported: Iterable[LinesDataset],
    outcomes: Iterable[Mapping[str, Any]],
    served: Iterable[str],
    *,
    waiting: Iterable[str] = (),
) -> dict[str, Any]:
    """Say what became of every line, by what the steps themselves wrote down.

    Args:
        imported: the datasets that the loop was given.
        outcomes: of the pipeline runs, in order: their train steps name what was learnt and left out, their
            reports what was read.
        served: ids of the lines that the server read.
        waiting: ids of lines that were never sent because nothing served.

    Returns:
        ``imported`` and ``became`` as counts, and ``lost``: ids that no step accounts for.
    """
    places: dict[str, str] = {}
    for outcome in outcomes:
        for line_id, place in _used(outcome):
            known = line_id.removeprefix(f"{CORRECTIONS}/")
            corrected = "corrected, " if known != line_id else ""
            places.setdefault(known, corrected + place)
    for line_id in served:
        places.setdefault(line_id, "read by the server only")
    for line_id in waiting:
        places.setdefault(line_id, "waiting")
    ids = {row for dataset in imported for row in dataset.columns(["id"])["id"].to_pylist()}
    became = Counter(places[line_id] for line_id in ids if line_id in places)
    return {"imported": len(ids), "became": dict(sorted(became.items())), "lost": sorted(ids - places.keys())}


def _used(outcome: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    curves = json.loads(Path(outcome["curves"]).read_text(encoding="utf-8"))
    report = json.loads(Path(outcome["report"]).read_text(encoding="utf-8"))
    yield from ((line_id, "trained") for line_id in curves["train_ids"])
    yield from ((line["id"], HELD_OUT[line["split"]]) for line in report["lines"])
    yield from ((line_id, f"left out: {reason}") for line_id, reason in curves["excluded"])
