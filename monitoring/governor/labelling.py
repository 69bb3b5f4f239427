"""Labelling requests as the governor opens them: a decision in, a file that names lines out (`htr.labelling`).

A request that something damaged stops nothing: it is moved aside under a name that says so, and what depends on it
goes on without it. Lines that only it named may then be asked for again.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from htr.errors import DataError, OutputError
from htr.labelling import (
    DamagedRequestError,
    LabellingRequest,
    RequestedLine,
    read_request,
    request_file,
    request_numbers,
    write_request,
)

logger = logging.getLogger(__name__)

ASIDE = ".damaged"
"""Ends the name of a request that was moved aside."""
Choose = Callable[[str, int], Sequence[RequestedLine]]
"""Champion's digest and how many -> the lines."""


@dataclass(frozen=True, kw_only=True)
class LabellingRequests:
    """The requests of one state folder."""

    state: Path
    choose: Choose

    def ask(self, request: int, *, champion: str, reason: str, wanted: int) -> None:
        """Open a request; the same again changes nothing, unless what lies there is damaged.

        Raises:
            OutputError: it cannot be written.
            DataError: there is nothing to choose from.
        """
        if request_file(self.state, request).exists() and not _moved_aside(self.state, request):
            return
        lines = tuple(self.choose(champion, wanted))
        write_request(
            self.state,
            LabellingRequest(record=request, champion=champion, reason=reason, wanted=wanted, lines=lines),
        )


def sound_requests(state: Path) -> Iterator[LabellingRequest]:
    """Yield every request that can be read; damaged ones are moved aside, those of another version left alone."""
    for number in request_numbers(state):
        if _moved_aside(state, number):
            continue
        try:
            found = read_request(state, number)
        except DataError as error:
            logger.warning("%s; it is passed over", error)
            continue
        if found is not None:
            yield found


def _moved_aside(state: Path, number: int) -> bool:
    """Move a damaged request aside; return whether it was one."""
    try:
        read_request(state, number)
    except DamagedRequestError as error:
        file = request_file(state, number)
        aside = file.with_name(file.name + ASIDE)
        logger.warning("%s; it is moved to %s, and lines that only it named may be asked for again", error, aside)
        try:
            file.replace(aside)
        except OSError as failure:
            raise OutputError(f"{file}: cannot be moved aside ({failure.strerror})") from failure
        return True
    except DataError:  # of another version, or not to be read now: not ours to move
        return False
    return False
