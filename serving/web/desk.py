"""What a person at the page does, without a browser: read a file, look at a line, correct it, go on."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4, uuid5

from htr.alphabet import normalise
from htr.errors import DataError
from serving.client import Client
from serving.web.queue import ROUND, Queue, Turn, key_of
from serving.web.reader import AUTOMATIC, Reader
from serving.web.reading import SeenLine, Work
from serving.web.sources import Source

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
    sent: Mapping[str, "Sent"] = field(default_factory=dict)
    """What was sent here, by the keys of the lines; the oldest first."""
    begun: int = 0
    """Readings that were begun."""
    laid: int = 0
    """The one of them that lies here: one that comes late does not push a newer one aside."""
    nonce: UUID = field(default_factory=uuid4)
    """Tells corrections of this page from all others."""

    @property
    def turn(self) -> Turn | None:
        """The line of the queue that is shown."""
        return self.turns[self.at] if self.at < len(self.turns) else None

    def said(self, line: SeenLine) -> str:
        """Return what was sent for a line, or else what was read."""
        sent = self.sent.get(key_of(line))
        return sent.text if sent else line.text


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent last for a line."""

    text: str
    num_changes: int = 0
    """Times that another text had been sent for it before."""


Change = Callable[[Session], Session]
"""What is left to do when a slow server has answered: with the session as it is by then, not as it was before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """The one place where a page's doings meet the server."""

    client: Client
    clock: Callable[[], float]
    source: Source | None = None
    """Fills the queue that all pages share."""
    seed: int = 0

    def begin(self, session: Session) -> Session:
        """Number the reading that comes next: where two are under way, the one that was begun last is shown."""
        return replace(session, begun=session.begun + 1)

    def read_file(self, session: Session, path: Path, *, kind: str = AUTOMATIC) -> Change:
        """Read a file; its lines will wait in this person's queue.

        Raises:
            ImageError, ServiceError: see `Reader`.
        """
        work = Reader(self.client).read_file(path, kind=kind)
        return lambda now: self._with_work(now, work, session.begun)

    def read_drawing(self, session: Session, drawing: bytes, path: Path) -> Change:
        """Read a drawing as one line.

        Raises:
            ImageError, ServiceError: see `Reader`.
        """
        work = Reader(self.client).read_drawing(drawing, path)
        return lambda now: self._with_work(now, work, session.begun)

    def send(self, session: Session, text: str, author: str, *, meant: str) -> Change:
        """Send what the line that is looked at really says; the next one is looked at then, if it still is.

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
        said = self._correct(session, line, text, author, "reading", meant)

        def change(now: Session) -> Session:
            after = self._after(now, line, said, "reading")
            if now.work.line is not line:
                return after
            return replace(after, work=after.work.looking_at(after.work.at + 1))

        return change

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

    def send_turn(self, session: Session, text: str, author: str, *, meant: str) -> Change:
        """Send what the shown line of the queue says, and go on to the next if it still is; arguments of `send`.

        Raises:
            DataError: no line, another line, no name or no text.
            ServiceError: the server did not take it.
        """
        turn = session.turn
        if turn is None:
            raise DataError("there is no line to correct; the queue is empty")
        said = self._correct(session, turn.line, text, author, turn.chosen_by, meant)

        def change(now: Session) -> Session:
            after = self._after(now, turn.line, said, turn.chosen_by)
            return self.next_turn(after) if now.turn is turn else after

        return change

    def waiting(self, session: Session) -> int:
        """Return how many lines wait, this person's and everybody's."""
        return len(session.own) + (len(self.source.queue) if self.source else 0)

    def _take(self, session: Session) -> tuple[Turn | None, tuple[Turn, ...]]:
        """Return the next line, of everybody's or else of what was read here, and what is planned after it."""
        if self.source and (turn := self.source.queue.take()):
            return turn, session.planned
        planned = tuple(turn for turn in session.planned if key_of(turn.line) not in session.sent)
        if not planned:
            shown = {key_of(turn.line) for turn in session.turns}
            own = Queue(control_share=0.0, seed=self.seed, clock=self.clock)  # no fair sample: see decision 16
            own.add(line for line in session.own if key_of(line) not in shown)
            planned = tuple(islice(iter(own.take, None), ROUND))
        return (planned[0], planned[1:]) if planned else (None, ())

    def _with_work(self, session: Session, work: Work, number: int) -> Session:
        new = tuple(line for sheet in work.sheets for line in sheet.lines)
        keys = {key_of(line) for line in new}
        kept = tuple(line for line in session.own if key_of(line) not in keys)
        fresh = tuple(line for line in new if key_of(line) not in session.sent)
        own = _newest((*kept, *fresh), MAX_OWN, lambda line: line)
        if number < session.laid:
            return replace(session, own=own, planned=())
        return replace(session, work=_told(work, session.sent), laid=number, own=own, planned=())

    def _after(self, session: Session, line: SeenLine, said: str, chosen_by: str) -> Session:
        """Return the session when a correction is stored: nobody is asked for the line again.

        But for a control that was corrected for another reason: without it the sample, which is to
        judge a model, would lack what people came upon by themselves.
        """
        key = key_of(line)
        if self.source and (chosen_by == "sample" or not self.source.queue.is_control(key)):
            self.source.queue.done(line)
        new = Sent(said, _num_changes(session, key, said))
        sent = {**{one: old for one, old in session.sent.items() if one != key}, key: new}
        kept = dict(list(sent.items())[-MAX_SENT:])
        own = tuple(one for one in session.own if key_of(one) != key)
        return replace(session, own=own, sent=kept, work=_told(session.work, {key: new}))

    def _correct(
        self, session: Session, line: SeenLine, text: str, author: str, chosen_by: str, meant: str
    ) -> str:
        if meant != key_of(line):
            raise DataError("the line had changed meanwhile and nothing was sent; look at it again")
        said, author = normalise(text), author.strip()
        if not author:
            raise DataError("write your name first, so that it is known who corrected")
        if not said:
            raise DataError("write what the line says; go on to the next where it cannot be read")
        # Pressed again, because no answer came back, it is the same correction and is stored once. Another reading
        # of the line makes another one, and so does taking a change back.
        num_changes = _num_changes(session, meant, said)
        name = json.dumps(
            [meant, said, author, chosen_by, num_changes, line.seen.request_id, line.seen.position, line.page]
        )
        number = str(uuid5(session.nonce, name))
        self.client.correct(
            line.seen, said, author=author, correction_id=number, chosen_by=chosen_by, page=line.page
        )
        return said


def _num_changes(session: Session, key: str, said: str) -> int:
    """Return how often the text of a line will have changed when this one is sent."""
    old = session.sent.get(key)
    return old.num_changes + (old.text != said) if old else 0


def _told(work: Work, sent: Mapping[str, Sent]) -> Work:
    """Return what was read with what was sent for its lines, wherever that was done."""
    places = {
        (sheet, place): key_of(line)
        for sheet, page in enumerate(work.sheets)
        for place, line in enumerate(page.lines)
    }
    return work.with_texts({place: sent[key].text for place, key in places.items() if key in sent})


def _newest(all_of_them: tuple[T, ...], most: int, line_of: Callable[[T], SeenLine]) -> tuple[T, ...]:
    """Return the last ones, as many as may be kept by number and by bytes, one at least."""
    kept = all_of_them[-most:]
    while len(kept) > 1 and sum(len(line_of(one).seen.image) for one in kept) > MAX_BYTES:
        kept = kept[1:]
    return kept
