"""What became of a request's images in, rows of the prediction log out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from htr.prediction_log import log_row
from serving.answers import Outcome
from serving.refusals import ImageRefusedError
from serving.stamp import Stamp


def log_rows(
    outcomes: Sequence[Outcome], stamp: Stamp, *, time: datetime, first_position: int = 0
) -> list[dict[str, Any]]:
    """Return one row an image that was read.

    Args:
        outcomes: in the order of the request.
        stamp: of its answer.
        time: when it was read, with time zone.
        first_position: place of the first one in the request that this one is a part of.
    """
    return [
        log_row(
            outcome.profile,
            time=time,
            request_id=stamp.request_id,
            position=position,
            model_version=stamp.model_version,
            bundle_digest=stamp.bundle_digest,
            confidence=outcome.reading.confidence,
        )
        for position, outcome in enumerate(outcomes, start=first_position)
        if not isinstance(outcome, ImageRefusedError)
    ]
