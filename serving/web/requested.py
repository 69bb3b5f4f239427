"""A governor's labelling request in, the lines that it names in the queue, with no hand between the two.

    STATE/labelling/    the requests, by request id and position (`htr.labelling`)
    LOG/images/         what these lines looked like and what was read on them (`htr.image_log`)

The newest request counts. Its lines come before all others, as they were read then: a correction says what that
model read, and is chosen as the request says. They are looked for again as long as some are missing: the image log
is written a little after the request is answered.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from htr.errors import DataError, ImageError, QuillflowError, SettingsError
from htr.image_log import LoggedImage, find_images
from htr.labelling import LabellingRequest, read_request, request_numbers
from serving.client import Client, LineRead, UnreachableError
from serving.web.corrected import corrected_lines
from serving.web.picture import picture_of
from serving.web.plain_words import plain
from serving.web.queue import Queue, key_of
from serving.web.reader import line_sheet
from serving.web.reading import SeenLine

logger = logging.getLogger(__name__)

EVERY_S = 10.0
TRIES = 6
"""Times that missing lines are looked for; what is not in the image log by then will not come."""


@dataclass(slots=True)
class Requested:
    """Puts the lines of the newest labelling request into a queue.

    Args:
        state: the governor's state folder.
        log: the prediction log's folder, which holds the image log.
        client: of the server that takes corrections.
        queue: takes the lines.
        wait: waits some seconds, and returns whether to stop.
    """

    state_dir: Path
    log: Path
    client: Client
    queue: Queue
    wait: Callable[[float], bool]
    state: str = ""
    """One sentence for the person at the page."""
    _number: int = 0
    _tries: int = 0
    _found: set[tuple[str, int]] = field(default_factory=set)

    def check(self) -> None:
        """Refuse folders that cannot be meant.

        Raises:
            SettingsError: there is no such folder.
        """
        for flag, folder in (("--requests", self.state_dir), ("--log", self.log)):
            if not folder.is_dir():
                raise SettingsError(f"{flag} {folder}: there is no such folder; see docs/web.md")

    def start(self) -> threading.Thread:
        """Begin to look in a thread that ends with the process."""
        thread = threading.Thread(target=self.follow, name="requested", daemon=True)
        thread.start()
        return thread

    def follow(self) -> None:
        """Look again and again; what fails is logged and told by `state`."""
        while True:
            try:
                self.look()
            except UnreachableError as error:
                self.state = plain(error)
            except QuillflowError as error:
                if self.state != plain(error):  # once, not at every look
                    logger.error("%s", error)  # noqa: TRY400 - a fault of what is there, not of ours
                self.state = plain(error)
            if self.wait(EVERY_S):
                return

    def look(self) -> None:
        """Put what the newest request names and the image log holds into the queue.

        Raises:
            DataError: request or image log is damaged.
            UnreachableError: the server does not say now what was corrected.
        """
        number = max(request_numbers(self.state_dir), default=0)
        if number != self._number:
            self._number, self._tries, self._found = number, 0, set()
            self.queue.forget_asked()  # of the request before: another model is champion, or other lines matter
        request = read_request(self.state_dir, number) if number else None
        if request is None or self._tries >= TRIES:
            return
        missing = {line.place: line for line in request.lines if line.place not in self._found}
        if missing:
            # Which of them may judge a model is known before it is asked what was corrected.
            images = find_images(self.log, missing)
            lines = [(line, one.why) for place, one in missing.items() if (line := _seen(images.get(place)))]
            asked = {key_of(line): why for line, why in lines}
            corrected = corrected_lines(self.client, lambda key: asked.get(key) == "control")
            self.queue.ask((line, why) for line, why in lines if key_of(line) not in corrected)
            self._found |= set(images)
        self._tries = TRIES if len(self._found) == len(request.lines) else self._tries + 1
        self.state = self._told(request)

    def _told(self, request: LabellingRequest) -> str:
        missing = len(request.lines) - len(self._found)
        if not missing:
            return ""
        return f"{missing} of {len(request.lines)} lines that are asked for have no picture in the image log."


def line_read(logged: LoggedImage) -> LineRead:
    """Return a line of the image log as a client got it: what a correction of it must say."""
    return LineRead(
        image=logged.image,
        text=logged.text,
        confidence=logged.confidence,
        model_version=logged.model_version,
        bundle_digest=logged.bundle_digest,
        request_id=logged.request_id,
        position=logged.position,
    )


def _seen(logged: LoggedImage | None) -> SeenLine | None:
    """Return a line as the page shows it; None where there is no picture that can be opened here."""
    if logged is None:
        return None
    try:
        (line,) = line_sheet(line_read(logged), picture_of(logged.image), page="").lines
    except (ImageError, DataError) as error:
        logger.warning("request %s, line %d: %s", logged.request_id, logged.position, error)
        return None
    return line
