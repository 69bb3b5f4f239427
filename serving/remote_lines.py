"""Another server of ours reads the lines of pages: their crops go to its line route, a few at a time.

The request keeps its id there, and its lines their places, so that they stand in that server's prediction log as
they would in ours. Crops are lossless and JSON keeps every digit: answers are those of one process, to the byte.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import httpx
import orjson

from htr.errors import SettingsError
from htr.layout.crop import Crop, encode_crop
from htr.layout.geometry import PageLine
from serving.access import Token
from serving.admission import Check
from serving.line_source import ModelSwappedError, Prediction
from serving.page_answers import b64
from serving.refusals import BusyError, PredictorAwayError, ReadingFailedError
from serving.stamp import Stamp
from serving.wanted import Wanted

logger = logging.getLogger(__name__)

T = TypeVar("T")
LINES_AT_ONCE = 4
"""Crops in one request: at most 32 million pixels, and short enough that two requests share a page evenly."""
AWAY_S = 5
"""Seconds after which it is worth trying again where the predictor does not say."""
CONNECT_S = 3.0
MAX_PAUSE_S = 2
"""Between two looks at whether time is up."""
STATUS_BUSY, STATUS_AWAY = 429, 503
_UNUSABLE = {
    401: "wants another token; give --predictor-token-file",
    404: "has no such model; give --predictor-model",
}


class RemoteSource:
    """Opens `RemoteLines` on one server.

    Args:
        url: ``http://host:port`` or ``https://host:port``.
        model: name of the model that reads lines there.
        token: what it wants to be sent, or None.
        at_once: requests to it at the same time.
        timeout_s: longest that it may take to answer.
        pause: waits some seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        token: Token | None = None,
        at_once: int = 2,
        timeout_s: float = 30.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self.pause = pause
        self.pool = ThreadPoolExecutor(at_once, thread_name_prefix="predictor")
        self._path = f"{self.url}/v1/models/{model}:predict"
        headers = {"content-type": "application/json"} | ({"authorization": token.authorization} if token else {})
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_S)
        self._http = httpx.Client(timeout=timeout, headers=headers, trust_env=False)
        self._seen = Stamp(model_version="", request_id="", bundle_digest="")

    def close(self) -> None:
        """Let the connections go."""
        self.pool.shutdown(cancel_futures=True)
        self._http.close()

    def stamp(self, request_id: str) -> Stamp:
        """Return the stamp of an answer that no line was read for, by what the predictor last said of itself."""
        return replace(self._seen, request_id=request_id)

    def open(self, request_id: str, wanted: Wanted) -> "RemoteLines":
        """Return what reads the lines of one request."""
        return RemoteLines(self, request_id, wanted)

    def meet(self) -> None:
        """Ask the predictor which model it serves.

        Raises:
            PredictorAwayError: it does not answer, or cannot now.
            SettingsError: it will never read lines for us.
        """
        answer = self._post({"instances": []}, "")  # a request for nothing, which it refuses and signs
        if answer.status_code in _UNUSABLE:
            raise SettingsError(f"--predictor_host {self.url}: {_UNUSABLE[answer.status_code]}")
        try:
            self._note(orjson.loads(answer.content))
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise PredictorAwayError(
                f"{self.url} answers with status {answer.status_code} and not as our server"
            ) from error

    def ask(self, payload: dict[str, Any], request_id: str) -> tuple[list[Prediction], Stamp]:
        """Have some lines read.

        Raises:
            BusyError: the predictor says that it is.
            PredictorAwayError: it does not answer, or says that it cannot now.
            ReadingFailedError: it refuses what it should not.
        """
        answer = self._post(payload, request_id)
        after = answer.headers.get("retry-after", "")
        retry_after_s = int(after) if after.isdecimal() else None
        if answer.status_code == STATUS_BUSY:
            raise BusyError(
                "the server that reads the lines is busy; try again later", retry_after_s=retry_after_s or 1
            )
        if answer.status_code == STATUS_AWAY:
            raise _away(retry_after_s or AWAY_S)
        try:
            body = orjson.loads(answer.content)
            return body["predictions"], self._note(body)
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            logger.exception("request %s: status %d: %.300s", request_id, answer.status_code, answer.text)
            raise ReadingFailedError(request_id) from error

    def _post(self, payload: dict[str, Any], request_id: str) -> httpx.Response:
        headers = {"x-request-id": request_id} if request_id else {}
        try:
            return self._http.post(self._path, content=orjson.dumps(payload), headers=headers)
        except httpx.HTTPError as error:
            logger.warning("%s does not answer (%r)", self._path, error)
            raise _away(AWAY_S) from error

    def _note(self, body: dict[str, Any]) -> Stamp:
        said = Stamp(**{name: str(body[name]) for name in ("model_version", "request_id", "bundle_digest")})
        self._seen = said
        return said


class RemoteLines:
    """See `serving.line_source.Lines`."""

    def __init__(self, source: RemoteSource, request_id: str, wanted: Wanted) -> None:
        self._source = source
        self._wanted = wanted
        self._request_id = request_id
        self._read_by: Stamp | None = None
        self.num_read = 0

    @property
    def stamp(self) -> Stamp:
        """Where the answer comes from."""
        return replace(self._read_by or self._source.stamp(""), request_id=self._request_id)

    def read(
        self,
        lines: Sequence[PageLine],
        cut: Callable[[PageLine], Crop],
        finish: Callable[[PageLine, Crop, Prediction], T],
        check: Check,
    ) -> list[T]:
        """Read the lines of one page.

        Raises:
            BusyError: the predictor is busy, and nothing was read for this request yet.
            PredictorAwayError: it does not answer, or says that it cannot now.
            TooSlowError: time is up, perhaps since the predictor was busy all the while.
            ModelSwappedError: it reads with another model than before.
        """
        first = self.num_read

        def work(start: int) -> list[T]:
            some = lines[start : start + LINES_AT_ONCE]
            pieces = [cut(line) for line in some]
            said = self._ask(pieces, first + start, check)
            return [finish(*each) for each in zip(some, pieces, said, strict=True)]

        tasks = [self._source.pool.submit(work, start) for start in range(0, len(lines), LINES_AT_ONCE)]
        try:
            ended, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            for task in ended:  # what went wrong is raised before any that still waits is waited for
                task.result()
            finished = [one for task in tasks for one in task.result()]
        finally:
            for task in tasks:
                task.cancel()
        self.num_read += len(lines)
        return finished

    def keep(self, time: datetime) -> None:
        """Do nothing: who read the lines has logged them."""

    def _ask(self, pieces: Sequence[Crop], position: int, check: Check) -> list[Prediction]:
        payload = {
            "instances": [{"b64": b64(encode_crop(piece.grey))} for piece in pieces],
            "parameters": {
                "characters": True,  # the words are placed by them
                "alternatives": self._wanted.alternatives,
                "first_position": position,
            },
        }
        while True:
            check()
            try:
                said, stamp = self._source.ask(payload, self._request_id)
            except BusyError as busy:
                if self._read_by is None:  # as our own queue would have said
                    raise
                # Half a page is too good to be thrown away.
                self._source.pause(min(busy.retry_after_s or 1, MAX_PAUSE_S))
                continue
            if self._read_by is not None and self._read_by.bundle_digest != stamp.bundle_digest:
                raise ModelSwappedError
            self._read_by = stamp
            return said


def _away(retry_after_s: int) -> PredictorAwayError:
    return PredictorAwayError(
        "the server that reads the lines cannot be reached now; try again later", retry_after_s=retry_after_s
    )
