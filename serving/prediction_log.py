"""What was read in, rows of the prediction log out, and of a sample of requests the images too.

The rows are `htr.prediction_log`'s, the images `htr.image_log`'s, in a folder and with a writer of their own:
however slow the disk takes images, rows do not wait for them. Which requests are sampled follows from their id
alone, so that a request that is sent again is sampled again, or again is not.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import htr.image_log
from htr.prediction_log import SCHEMA
from serving.log_writer import LogWriter, Row

MAX_IMAGE_BYTES = 64 * 1024 * 1024
MAX_IMAGES = 4_000
FLUSH_IMAGES = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPolicy:
    """What is kept of requests, and for how long."""

    image_share: float = 0.0
    """Share of requests whose images and texts are kept, 0..1."""
    days: float | None = None
    """Files of rows and images older than this are removed; None keeps them for good."""
    redact: bool = False
    """Keep no image, no text, and no request id as it was: clients choose what to call their requests."""

    def __post_init__(self) -> None:
        if not 0 <= self.image_share <= 1 or (self.days is not None and self.days <= 0):
            raise ValueError(f"impossible policy: {self}")
        if self.redact and self.image_share:
            raise ValueError("a redacted log keeps no images")


class PredictionLog:
    """The writing side of the prediction log. Safe to append to from several threads; never blocks.

    Args:
        folder: where the files go; made if it is missing.
        policy: what is kept.
        max_rows: rows that may wait to be written; what comes on top is dropped and counted.
        max_image_bytes: the same for images, by their bytes.
        flush_s: longest that a row waits before it is written.
        flush_rows: this many rows are written at once without waiting.
        clock: names the files; with time zone.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        policy: LogPolicy | None = None,
        max_rows: int = 10_000,
        max_image_bytes: int = MAX_IMAGE_BYTES,
        flush_s: float = 2.0,
        flush_rows: int = 2_000,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.folder = folder
        self.policy = policy or LogPolicy()
        self._secret = secrets.token_bytes(32)
        keep = None if self.policy.days is None else timedelta(days=self.policy.days)
        self._rows = LogWriter(
            folder,
            SCHEMA,
            what="prediction log",
            max_rows=max_rows,
            flush_s=flush_s,
            flush_rows=flush_rows,
            keep=keep,
            clock=clock,
        )
        images = folder / htr.image_log.FOLDER
        self._images: LogWriter | None = None
        if self.policy.image_share or images.is_dir():  # what an earlier run kept grows old, too
            self._images = LogWriter(
                images,
                htr.image_log.SCHEMA,
                what="image log",
                max_rows=MAX_IMAGES,
                max_bytes=max_image_bytes,
                size=lambda row: len(row["image"]),
                complete=lambda row: {**row, "image_digest": htr.image_log.digest_of(row["image"])},
                flush_s=flush_s,
                flush_rows=FLUSH_IMAGES,
                keep=keep,
                clock=clock,
            )

    def samples(self, request_id: str) -> bool:
        """Return whether a request's images are kept."""
        if not self.policy.image_share:
            return False
        drawn = int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8]) / 2**64
        return drawn < self.policy.image_share

    def append(self, rows: Sequence[Row]) -> None:
        """Queue rows to be written; returns at once, and drops what does not fit."""
        if self.policy.redact:
            rows = [{**row, "request_id": self._pseudonym(row["request_id"])} for row in rows]
        self._rows.append(rows)

    def append_images(self, rows: Sequence[Row]) -> None:
        """Queue images of a sampled request; returns at once, and drops what does not fit."""
        if self._images is not None and self.policy.image_share:
            self._images.append(rows)

    def drop_images(self, count: int) -> None:
        """Count images of a sampled request that could not even be held until it was answered."""
        if self._images is not None:
            self._images.drop(count)

    @property
    def num_written(self) -> int:
        """Rows that are on disk."""
        return self._rows.num_written

    @property
    def num_dropped(self) -> int:
        """Rows lost: the queue was full when they came, or they could not be written at the end."""
        return self._rows.num_dropped

    @property
    def num_failures(self) -> int:
        """Times that the disk refused rows."""
        return self._rows.num_failures

    @property
    def num_waiting(self) -> int:
        """Rows that wait to be written."""
        return self._rows.num_waiting

    def counts(self) -> dict[str, dict[str, int]]:
        """Return what became of ``rows`` and ``images``: written, dropped, failures (of the disk), waiting."""
        logs: dict[str, Any] = {"rows": self._rows, "images": self._images}
        names = ("written", "dropped", "failures", "waiting")
        return {
            what: {name: getattr(log, f"num_{name}") if log is not None else 0 for name in names}
            for what, log in logs.items()
        }

    def close(self) -> None:
        """Write what is queued and stop; what the disk still refuses is counted as dropped."""
        self._rows.close()
        if self._images is not None:
            self._images.close()

    def _pseudonym(self, request_id: str) -> str:
        """Return what a request goes by in a redacted log: the same for all its lines, and told to nobody."""
        return hmac.new(self._secret, request_id.encode(), hashlib.sha256).hexdigest()[:32]
