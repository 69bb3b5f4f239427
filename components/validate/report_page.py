"""A validation report -> the page that people read: verdict, checks, counts, and the lines in question."""

from collections.abc import Sequence
from pathlib import Path

from components.page import image_data_uri, render
from components.validate.report import Check, ValidationReport
from htr.audit.measures import images_of
from htr.errors import ImageError
from htr.lines import LinesDataset

_TEMPLATE = Path(__file__).with_name("page.html")
MAX_IMAGES = 40
_COUNTED = {"split": "Split", "source": "Source", "language": "Language", "quarantined": "Left out at import"}


def validation_page(report: ValidationReport, dataset: LinesDataset) -> str:
    """Return the page as one self-contained HTML text.

    Args:
        report: what was found.
        dataset: where the images of the examples come from.
    """
    failed = [check for check in report.checks if not check.passed]
    return render(
        "Validation of the lines dataset",
        _TEMPLATE,
        report=report,
        failed=failed,
        pictures=_pictures(failed, dataset),
        counts=[(title, report.counts[name]) for name, title in _COUNTED.items() if report.counts.get(name)],
    )


def _pictures(failed: Sequence[Check], dataset: LinesDataset) -> dict[str, list[dict[str, str]]]:
    """Return, by check, examples with their images; every failed check gets an equal share of what is shown."""
    chosen = {check.name: [e for e in check.examples if e.row is not None] for check in failed}
    chosen = {name: examples for name, examples in chosen.items() if examples}
    each = max(1, MAX_IMAGES // max(1, len(chosen)))
    chosen = {name: examples[:each] for name, examples in chosen.items()}
    images = images_of(dataset, {e.row for examples in chosen.values() for e in examples if e.row is not None})
    return {
        name: [{"id": e.id, "detail": e.detail, **_shown(images[e.row])} for e in examples if e.row is not None]
        for name, examples in chosen.items()
    }


def _shown(image: bytes) -> dict[str, str]:
    try:
        return {"image": image_data_uri(image), "fault": ""}
    except ImageError as error:
        return {"image": "", "fault": str(error)}
