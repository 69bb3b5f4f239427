"""What a person at the page does, without a browser: read a file, look at a line, correct it, go on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from htr.alphabet import normalise
from htr.errors import DataError
from serving.client import Client
from serving.web.folder import Folder
from serving.web.queue import ROUND, Queue, Turn, key_of
from serving.web.reader import AUTOMATIC, Reader
from serving.web.reading import SeenLine, Work

T = TypeVar("T")
MAX_OWN = 300
"""Lines that one person read and that are kept for the queue; older ones are dropped."""
MAX_BYTES = 64 * 1024 * 1024
"""Of these lines' pictures together, and of those of the lines that one can go back over."""
MAX_SENT = 3000
"""Corrections that a session remembers having sent."""
MAX_HISTORY = 50
"""Lines of the queue that one can go back over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What belongs to one open page; gone when it is closed."""

    work: Work = field(default_factory=Work)
    own: tuple[SeenLine, ...] = ()
    """Lines read here that nobody has corrected."""
    turns: tuple[Turn, ...] = ()
    """Lines of the queue that were shown, the newest last."""
    at: int = 0
    """The one of them that is shown."""
    planned: tuple[Turn, ...] = ()
    """What comes next of one's own lines."""
    sent: Mapping[str, str] = field(default_factory=dict)
    """What was sent here, by the keys of the lines; the oldest first."""

    @property
    def turn(self) -> Turn | None:
        """The line of the queue that is shown."""
        return self.turns[self.at] if self.at < len(self.turns) else None

    def said(self, line: SeenLine) -> str:
        """Return what was sent for a line, or else what was read."""
        return self.sent.get(key_of(line), line.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """The one place where a page's doings meet the server."""

    client: Client
    clock: Callable[[], float]
    folder: Folder | None = None
    seed: int = 0

    def read_file(self, session: Session, path: Path, *, kind: str = AUTOMATIC) -> Session:
        """Read a file; its lines wait in this person's queue.

        Raises:
            ImageError, ServiceError: see `Reader`.
        """
        return self._with_work(session, Reader(self.client).read_file(path, kind=kind))

    def read_drawing(self, session: Session, drawing: bytes, path: Path) -> Session:
        """Read a drawing as one line.

        Raises:
            ImageError, ServiceError: see `Reader`.
        """
        return self._with_work(session, Reader(self.client).read_drawing(drawing, path))

    def send(self, session: Session, text: str, author: str, *, meant: str) -> Session:
        """Send what the line that is looked at really says; the next one is looked at then.

        Args:
            session: where the line is looked at.
            text: what it says.
            author: who says so.
            meant: key of the line beside which the text was typed: a quick hand may be ahead of the page.

        Raises:
            DataError: no line, another line, no name or no text.
            ServiceError: the server did not take it.
        """
        line = session.work.line
        if line is None:
            raise DataError("there is no line to correct; read a page first")
        said = self._correct(line, text, author, "reading", meant)
        return replace(self._after(session, line, said), work=session.work.with_sent(said))

    def next_turn(self, session: Session) -> Session:
        """Go on to the next line of the queue, leaving this one as it is."""
        if session.at + 1 < len(session.turns):
            return replace(session, at=session.at + 1)
        turn, planned = self._take(session)
        if turn is None:
            return replace(session, at=len(session.turns))
        turns = _newest((*session.turns, turn), MAX_HISTORY, lambda one: one.line)
        return replace(session, turns=turns, at=len(turns) - 1, planned=planned)

    def last_turn(self, session: Session) -> Session:
        """Go back to the line of the queue before this one."""
        return replace(session, at=max(0, session.at - 1))

    def send_turn(self, session: Session, text: str, author: str, *, meant: str) -> Session:
        """Send what the shown line of the queue says, and go on to the next; arguments as of `send`.

        Raises:
            DataError: no line, another line, no name or no text.
            ServiceError: the server did not take it.
        """
        turn = session.turn
        if turn is None:
            raise DataError("there is no line to correct; the queue is empty")
        said = self._correct(turn.line, text, author, turn.chosen_by, meant)
        return self.next_turn(self._after(session, turn.line, said))

    def waiting(self, session: Session) -> int:
        """Return how many lines wait, this person's and the folder's."""
        return len(session.own) + (len(self.folder.queue) if self.folder else 0)

    def _take(self, session: Session) -> tuple[Turn | None, tuple[Turn, ...]]:
        """Return the next line, of the folder or else of what was read here, and what is planned after it."""
        if self.folder and (turn := self.folder.queue.take()):
            return turn, session.planned
        planned = tuple(turn for turn in session.planned if key_of(turn.line) not in session.sent)
        if not planned:
            shown = {key_of(turn.line) for turn in session.turns}
            own = Queue(control_share=0.0, seed=self.seed, clock=self.clock)  # no fair sample: see decision 16
            own.add(line for line in session.own if key_of(line) not in shown)
            planned = tuple(islice(iter(own.take, None), ROUND))
        return (planned[0], planned[1:]) if planned else (None, ())

    def _with_work(self, session: Session, work: Work) -> Session:
        new = tuple(line for sheet in work.sheets for line in sheet.lines)
        keys = {key_of(line) for line in new}
        kept = tuple(line for line in session.own if key_of(line) not in keys)
        fresh = tuple(line for line in new if key_of(line) not in session.sent)
        own = _newest((*kept, *fresh), MAX_OWN, lambda line: line)
        return replace(session, work=work, own=own, planned=())

    def _after(self, session: Session, line: SeenLine, said: str) -> Session:
        """Return the session when a correction is stored: nobody is asked for the line again."""
        if self.folder:
            self.folder.queue.done(line)
        key = key_of(line)
        sent = {**{one: text for one, text in session.sent.items() if one != key}, key: said}
        kept = dict(list(sent.items())[-MAX_SENT:])
        return replace(session, own=tuple(one for one in session.own if key_of(one) != key), sent=kept)

    def _correct(self, line: SeenLine, text: str, author: str, chosen_by: str, meant: str) -> str:
        if meant != key_of(line):
            raise DataError("the line had changed meanwhile and nothing was sent; look at it again")
        said, author = normalise(text), author.strip()
        if not author:
            raise DataError("write your name first, so that it is known who corrected")
        if not said:
            raise DataError("write what the line says; go on to the next where it cannot be read")
        self.client.correct(
            line.seen, said, author=author, correction_id=str(uuid4()), chosen_by=chosen_by, page=line.page
        )
        return said


def _newest(all_of_them: tuple[T, ...], most: int, line_of: Callable[[T], SeenLine]) -> tuple[T, ...]:
    """Return the last ones, as many as may be kept by number and by bytes, one at least."""
    kept = all_of_them[-most:]
    while len(kept) > 1 and sum(len(line_of(one).seen.image) for one in kept) > MAX_BYTES:
        kept = kept[1:]
    return kept
