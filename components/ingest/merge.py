"""Lines dataset + corrections dataset -> one lines dataset.

The base keeps its splits; its test lines are the frozen golden test. Of the corrections a share is held back from
training as split ``recent``, so that the gate can ask about today's hands. Which ones follows from their ids, so
that a correction never changes side when more arrive. Corrections that a reading asked for are all learnt from:
lines that were picked because a model misread them say nothing about how well it, or another one, reads.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from htr.errors import SettingsError
from htr.lines import ASKED_FOR, CORRECTIONS, DatasetInfo, Line, LinesDataset, LinesWriter


def merge(lines: LinesDataset, corrections: LinesDataset | None, out: Path, *, held_back: float) -> DatasetInfo:
    """Write the merged dataset.

    Args:
        lines: the base.
        corrections: corrected lines, whatever their splits; None where there are none.
        out: folder to create.
        held_back: share of the corrections that training must not see, 0..1; of those that no reading asked for.

    Raises:
        SettingsError: a share outside 0..1.
        DataError: an id occurs twice.
        OutputError: the folder cannot be written.
    """
    if not 0.0 <= held_back < 1.0:
        raise SettingsError(f"held_back must be at least 0 and less than 1, got {held_back}")
    with LinesWriter(out) as writer:
        for line in lines.lines():
            writer.add(line)
        if corrections is not None:
            for line in _assigned(corrections, held_back):
                writer.add(line)
    return LinesDataset.open(out).info


def _assigned(corrections: LinesDataset, held_back: float) -> Iterator[Line]:
    for line in corrections.lines():
        draw = int.from_bytes(hashlib.sha256(line.id.encode()).digest()[:8]) / 2**64
        split = "recent" if draw < held_back and line.source != ASKED_FOR else "train"
        yield replace(line, id=f"{CORRECTIONS}/{line.id}", split=split, source=CORRECTIONS)
