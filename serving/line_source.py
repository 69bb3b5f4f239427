"""Who reads the lines of pages: `LocalLines` in this process, `serving.remote_lines` by asking another server.

Both say of a line what the line route's V1 answer says of its crop, so that what is made of it is the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from htr.image import Decoded
from htr.layout.crop import Crop, encode_crop
from htr.layout.geometry import PageLine
from htr.recogniser import Observation
from serving.admission import Admission, Check
from serving.answers import prediction
from serving.log_rows import keep
from serving.metrics import Metrics
from serving.prediction_log import MAX_IMAGE_BYTES, PredictionLog
from serving.served import Served
from serving.stamp import Stamp
from serving.wanted import Wanted

T = TypeVar("T")
Prediction = dict[str, Any]
"""What a V1 answer says about one line image, characters included."""


class ModelSwappedError(Exception):
    """The lines of one request would be read by two models; it is to be begun anew."""


class Lines(Protocol):
    """Reads the lines of one request, all with one model."""

    @property
    def stamp(self) -> Stamp:
        """What an answer says about where it came from."""

    @property
    def num_read(self) -> int:
        """Lines read so far: the next one's place in the request."""

    def read(
        self,
        lines: Sequence[PageLine],
        cut: Callable[[PageLine], Crop],
        finish: Callable[[PageLine, Crop, Prediction], T],
        check: Check,
    ) -> list[T]:
        """Read the lines of one page.

        Args:
            lines: in reading order.
            cut: takes one out of the page; called in any thread.
            finish: makes what is kept of it, so that no crop is kept for longer than it takes; called likewise.
            check: called between steps.

        Raises:
            RefusedError: they cannot be read now.
        """

    def keep(self, time: datetime) -> None:
        """Log what was read, once it is answered."""


class LineSource(Protocol):
    """Opens `Lines`."""

    def open(self, request_id: str, wanted: Wanted) -> Lines:
        """Return what reads the lines of one request.

        Args:
            request_id: what its answer is stamped with.
            wanted: what is asked for on each line.
        """


class LocalSource:
    """The recogniser of this process.

    Args:
        serve: returns what to read with now.
        admission: threads that help where no request for lines needs them.
        log: where profile rows go, or None.
        metrics: where lines are counted, or None.
    """

    def __init__(
        self,
        serve: Callable[[], Served],
        *,
        admission: Admission,
        log: PredictionLog | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._serve = serve
        self._admission = admission
        self._log = log
        self._metrics = metrics

    def open(self, request_id: str, wanted: Wanted) -> "LocalLines":
        """Return what reads the lines of one request; a champion that is swapped meanwhile does not concern it."""
        return LocalLines(
            self._serve(), request_id, wanted, admission=self._admission, log=self._log, metrics=self._metrics
        )


@dataclass(frozen=True, slots=True)
class _Read:
    observed: Observation
    image: bytes | None
    finished: Any


class LocalLines:
    """See `Lines`."""

    def __init__(
        self,
        served: Served,
        request_id: str,
        wanted: Wanted,
        *,
        admission: Admission,
        log: PredictionLog | None,
        metrics: Metrics | None = None,
    ) -> None:
        self._served = served
        self._wanted = replace(wanted, characters=True)  # the words are placed by them
        self._admission = admission
        self._log = log
        self._metrics = metrics
        self._outcomes: list[Observation] = []
        self._images: list[bytes | None] = []
        self._num_bytes = 0
        self._sampled = log is not None and log.samples(request_id)
        self.stamp = served.stamp(request_id)

    @property
    def num_read(self) -> int:
        """See `Lines`."""
        return len(self._outcomes)

    def read(
        self,
        lines: Sequence[PageLine],
        cut: Callable[[PageLine], Crop],
        finish: Callable[[PageLine, Crop, Prediction], T],
        check: Check,
    ) -> list[T]:
        """Read the lines of one page, several at a time where threads are free."""

        def work(line: PageLine) -> _Read:
            piece = cut(line)
            (observed,) = self._served.recogniser.observe_decoded(
                [Decoded(grey=piece.grey)],
                characters=self._wanted.characters,
                alternatives=self._wanted.alternatives,
            )
            return _Read(observed, self._image(piece), finish(line, piece, prediction(observed, self._wanted)))

        read = self._admission.spread(work, lines, check)
        self._outcomes += [one.observed for one in read]
        self._images += [one.image for one in read]
        return [one.finished for one in read]

    def keep(self, time: datetime) -> None:
        """Log one row a line, and count it."""
        if self._metrics is not None:
            self._metrics.lines(self.stamp.model_version, self._outcomes)
        if self._log is not None:
            keep(self._log, self._outcomes, self._images, self.stamp, time=time)

    def _image(self, piece: Crop) -> bytes | None:
        """Return what the image log keeps of a line; None where it does not, or where the request has too many."""
        if not self._sampled or self._num_bytes > MAX_IMAGE_BYTES:
            return None
        image = encode_crop(piece.grey)
        self._num_bytes += len(image)
        return image
