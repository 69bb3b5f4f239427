"""The evaluation report's format: error rates of a challenger and of the champion on the same lines, as JSON.

The gate reads nothing else. Edits are kept line by line, so that the two can be compared in pairs. Every split
says what the confidence is worth (`htr.confidence_figures`); version 2 brought that, and each line's confidence.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from htr.confidence_figures import confidence_figures
from htr.direction import is_recoverable
from htr.errors import DataError
from htr.evaluate import Evaluation, ReadLine, character_scores, confusions, rates, rates_by

FORMAT_VERSION = 2


def build_report(challenger: Evaluation, champion: Evaluation | None) -> dict[str, Any]:
    """Return the report of a challenger and, where there is one, of the champion on the same lines."""
    rival = {line.id: line.errors.edits for line in champion.lines} if champion is not None else {}
    return {
        "format_version": FORMAT_VERSION,
        "dataset_digest": challenger.dataset_digest,
        "challenger": _summary(challenger),
        "champion": _summary(champion) if champion is not None else None,
        "confusions": confusions(challenger.of("test")),
        "characters": [asdict(score) for score in character_scores(challenger.of("test"))],
        "lines": [
            {
                "id": line.id,
                "split": line.split,
                "source": line.source,
                "characters": line.errors.characters,
                "edits": line.errors.edits,
                "champion_edits": rival.get(line.id),
                "graphemes": line.errors.graphemes,
                "grapheme_edits": line.errors.grapheme_edits,
                "recoverable": is_recoverable(line.truth),
                "reading": line.reading,
                "confidence": line.confidence,
                "undecodable": line.profile is None,
            }
            for line in challenger.lines
        ],
    }


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    splits = sorted({line.split for line in evaluation.lines})
    return {
        "bundle_digest": evaluation.bundle_digest,
        "splits": {
            split: {**_group(evaluation.of(split)), "confidence": _confidence(evaluation, split)}
            for split in splits
        },
    }


def _group(lines: Sequence[ReadLine]) -> dict[str, Any]:
    return {
        **asdict(rates(lines)),
        "by_source": {name: asdict(group) for name, group in rates_by(lines, "source").items()},
        "by_language": {name: asdict(group) for name, group in rates_by(lines, "language").items()},
    }


def _confidence(evaluation: Evaluation, split: str) -> dict[str, Any]:
    validation = evaluation.of("val") if split != "val" else []
    return confidence_figures(evaluation.of(split), validation).to_dict()


def read_report(path: Path) -> dict[str, Any]:
    """Read ``report.json``.

    Raises:
        DataError: missing, damaged or of another version.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = report["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not an evaluation report ({error!r}); run the evaluate step again") from error
    if version != FORMAT_VERSION:
        raise DataError(f"{path}: report version {version}, this program reads {FORMAT_VERSION}; evaluate again")
    return report
