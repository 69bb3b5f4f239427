"""What became of a request's images in, rows of the prediction log and of its images out."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from htr.prediction_log import log_row
from htr.recogniser import Observation
from serving.answers import Outcome
from serving.prediction_log import PredictionLog
from serving.refusals import ImageRefusedError
from serving.stamp import Stamp


def keep(
    log: PredictionLog,
    outcomes: Sequence[Outcome],
    images: Sequence[object],
    stamp: Stamp,
    *,
    time: datetime,
    first_position: int = 0,
) -> None:
    """Log one row an image that was read, and the images where the request is sampled.

    Args:
        log: where to; it does not block.
        outcomes: in the order of the request.
        images: encoded, one an outcome; what is not bytes was not held, and its image is counted as dropped.
        stamp: of the answer.
        time: when it was read, with time zone.
        first_position: place of the first one in the request that this one is a part of.
    """
    log.append(
        [
            log_row(
                outcome.profile,
                time=time,
                request_id=stamp.request_id,
                position=position,
                model_version=stamp.model_version,
                bundle_digest=stamp.bundle_digest,
                confidence=outcome.reading.confidence,
            )
            for position, outcome in _read(outcomes, first_position)
        ]
    )
    if not log.samples(stamp.request_id):
        return
    rows: list[dict[str, Any]] = []
    for position, outcome in _read(outcomes, first_position):
        image = images[position - first_position]
        if isinstance(image, bytes):
            rows.append(_image_row(image, outcome, stamp, time, position))
        else:
            log.drop_images(1)
    log.append_images(rows)


def _read(outcomes: Sequence[Outcome], first_position: int) -> Iterator[tuple[int, Observation]]:
    for position, outcome in enumerate(outcomes, start=first_position):
        if not isinstance(outcome, ImageRefusedError):
            yield position, outcome


def _image_row(image: bytes, outcome: Observation, stamp: Stamp, time: datetime, position: int) -> dict[str, Any]:
    """Return a row of the image log but for the image's digest, which its writer takes the time for."""
    return {
        "time": time,
        "request_id": stamp.request_id,
        "position": position,
        "model_version": stamp.model_version,
        "bundle_digest": stamp.bundle_digest,
        "text": outcome.reading.text,
        "confidence": outcome.reading.confidence,
        "image": image,
    }
