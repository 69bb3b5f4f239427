"""Readings of challenger and champion -> the page that people read: rates, curves, confusions, lines as images."""

import random
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.evaluate.charts import curves_svg, reject_svg, reliability_svg
from components.page import image_data_uri, render
from htr.confidence_figures import confidence_figures
from htr.direction import is_recoverable
from htr.errors import ImageError
from htr.evaluate import Evaluation, Rates, ReadLine, character_scores, confusions, rates
from htr.graphemes import graphemes
from htr.lines import LinesDataset
from htr.metrics import edit_operations, paired_bootstrap

_TEMPLATE = Path(__file__).with_name("page.html")
NUM_SHOWN = 24
_ORDER = ("test", "recent", "val", "train")
_TITLES = {"test": "golden test", "recent": "recent corrections", "val": "validation", "train": "training"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Error rates of one group of lines, beside those of the champion where there is one."""

    name: str
    mine: Rates
    rival: Rates | None
    difference: tuple[float, float, float] | None
    """CER of the challenger minus that of the champion on the same lines, and its 95 % interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A piece of a text that was read rightly or wrongly as a whole; "" and wrong is a gap."""

    text: str
    wrong: bool


def evaluation_page(
    evaluation: Evaluation,
    *,
    dataset: LinesDataset,
    champion: Evaluation | None = None,
    golden: str = "test",
    curves: Sequence[Mapping[str, float]] | None = None,
) -> str:
    """Return the page as one self-contained HTML text.

    Args:
        evaluation: of the challenger, with calibrated confidences.
        dataset: where the images come from.
        champion: its readings of the same lines, or of some of them.
        golden: split whose lines stand for the model; where it is empty, all lines do.
        curves: per-epoch metrics with ``epoch`` and any of ``loss``, ``val_loss``, ``val_cer``, ``learning_rate``.
    """
    splits = sorted({line.split for line in evaluation.lines}, key=_ORDER.index)
    judged = evaluation.of(golden) or evaluation.lines
    shown = [line for line in evaluation.lines if line.split in {golden, "recent"}] or evaluation.lines
    trusted = confidence_figures(judged, evaluation.of("val") if evaluation.of(golden) else [])
    headline = [_row(_TITLES.get(s, s), evaluation.of(s), champion.of(s) if champion else []) for s in splits]
    return render(
        "Evaluation",
        _TEMPLATE,
        evaluation=evaluation,
        champion=champion,
        headline=headline,
        # In plain Latin a cluster is a character, and a second column would only repeat the first.
        clustered=any(line.errors.graphemes != line.errors.characters for line in evaluation.lines),
        unrecoverable=sum(not is_recoverable(line.truth) for line in evaluation.lines),
        groups=_groups(evaluation, champion, [s for s in splits if s in {golden, "recent"}] or splits),
        curves=curves_svg(curves or []),
        confidence=trusted if trusted.lines else None,
        reliability=reliability_svg(trusted.bins) if trusted.lines else "",
        rejects=reject_svg(trusted) if trusted.lines else "",
        confusions=[(_visible(a), _visible(b), n) for a, b, n in confusions(judged)],
        characters=[(_visible(score.character), score) for score in character_scores(judged)],
        judged=_TITLES.get(golden, golden) if evaluation.of(golden) else "all lines",
        galleries=_galleries(shown, dataset, champion),
        titles=_TITLES,
    )


def _row(name: str, mine: Sequence[ReadLine], rival: Sequence[ReadLine]) -> Row:
    edits = {line.id: line.errors.edits for line in rival}
    both = [line for line in mine if line.id in edits]
    difference = paired_bootstrap(
        [line.errors.edits for line in both],
        [edits[line.id] for line in both],
        [line.errors.characters for line in both],
    )
    return Row(
        name=name,
        mine=rates(mine),
        rival=rates(rival) if rival else None,
        difference=difference if both else None,
    )


def _groups(
    evaluation: Evaluation, champion: Evaluation | None, splits: Sequence[str]
) -> list[tuple[str, list[Row]]]:
    """Return titles and rows of the tables by source and by language."""
    tables = []
    for split in splits:
        for attribute in ("source", "language"):
            mine, rival = evaluation.of(split), champion.of(split) if champion else []
            names = sorted({str(getattr(line, attribute)) for line in mine})
            rows = [
                _row(
                    name or "(unknown)",
                    [line for line in mine if getattr(line, attribute) == name],
                    [line for line in rival if getattr(line, attribute) == name],
                )
                for name in names
            ]
            tables.append((f"By {attribute}, {_TITLES.get(split, split)}", rows))
    return tables


def _galleries(
    lines: Sequence[ReadLine],
    dataset: LinesDataset,
    champion: Evaluation | None,
) -> list[tuple[str, list[dict[str, Any]]]]:
    worst = sorted(lines, key=lambda line: (-line.errors.cer, -line.errors.edits, line.id))[:NUM_SHOWN]
    chance = random.Random(0).sample(list(lines), min(NUM_SHOWN, len(lines)))  # noqa: S311 - the same every time
    wanted = {line.id for line in (*worst, *chance)}
    images = {line.id: line.image for line in dataset.lines() if line.id in wanted}
    rival = {line.id: line.reading for line in champion.lines} if champion else {}

    def card(line: ReadLine) -> dict[str, Any]:
        truth, reading = compared(line.truth, line.reading)
        other = compared(line.truth, rival[line.id])[1] if line.id in rival else None
        return {
            "line": line,
            "truth": truth,
            "reading": reading,
            "champion": other,
            "confidence": line.confidence if line.profile is not None else None,
            **_shown(images.get(line.id, b"")),
        }

    return [
        ("The worst lines", [card(line) for line in worst]),
        ("Lines drawn at random", [card(line) for line in chance]),
    ]


def _shown(image: bytes) -> dict[str, str]:
    try:
        return {"image": image_data_uri(image), "fault": ""}
    except ImageError as error:
        return {"image": "", "fault": str(error)}


def compared(truth: str, reading: str) -> tuple[list[Segment], list[Segment]]:
    """Cut truth and reading into pieces that agree and pieces that differ, never inside a letter with marks."""
    left: list[Segment] = []
    right: list[Segment] = []
    for a, b in edit_operations(graphemes(truth), graphemes(reading)):
        for pieces, character in ((left, a), (right, b)):
            if pieces and pieces[-1].wrong == (a != b):
                pieces[-1] = Segment(text=pieces[-1].text + character, wrong=a != b)
            else:
                pieces.append(Segment(text=character, wrong=a != b))
    return left, right


def _visible(character: str) -> str:
    if unicodedata.category(character or " ").startswith("M"):
        return f"\N{DOTTED CIRCLE}{character}"  # a mark needs something to stand on
    return {"": "nothing", " ": "space"}.get(character, character)
