"""Where every label went, between the import and the report."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from htr.lines import LinesDataset


def account_for(
    whole: LinesDataset, base: LinesDataset, new_hand: LinesDataset, first: dict[str, Any], summary: dict[str, Any]
) -> dict[str, Any]:
    """Return what became of every imported line, counted where it was used rather than where it was sent.

    Training lines are those the train step says it took or left out; held-out lines those that the report
    holds; lines of the new hand those that were corrected or read by the server.
    """
    report = json.loads(Path(first["report"]).read_text(encoding="utf-8"))
    curves = json.loads(Path(first["curves"]).read_text(encoding="utf-8"))
    in_report = Counter(line["split"] for line in report["lines"])
    taught = {n: c for n, c in curves["lines"].items() if n == "train" or n.startswith("excluded_train")}
    became = {**taught, "validated": in_report["val"], "tested": in_report["test"]}
    imported = len(base)
    if whole is not base:  # the new hand was set aside from the same import
        imported = len(whole)
        became["arriving"] = len(new_hand)
    if "new_hand" in summary and "second_champion" in summary:
        arrived = summary["retraining"]["corrections"] + summary["new_hand"]["lines"]
    else:
        arrived = len(new_hand)
    lost = imported - sum(became.values()) + len(new_hand) - arrived
    return {
        "imported": imported,
        "quarantined": whole.info.counts["quarantined"],
        "became": became,
        "lost": lost,
    }
