"""A store of corrections, followed: how many lines were corrected, which, what was misread on the sampled ones.

Of each correction only numbers are kept, 100 to 200 bytes of them, and each look reads what is new. The store is
read from its beginning when this begins, and when another file takes the log's place: after an erasure, say.
"""

import hashlib
import threading
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from htr.append_log import AppendLog
from htr.correction_store import LOG
from htr.corrections import SAMPLE, Record, Withdrawal, from_json
from htr.errors import DataError
from htr.last_words import LastWords
from htr.metrics import count_errors
from htr.numbered import Numbered

_SAID_BYTES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledErrors:
    """What one model misread on lines that were drawn and corrected."""

    lines: int
    edits: int
    characters: int
    """Reference characters, in code points."""

    @property
    def cer(self) -> float:
        """Character error rate, 0 and up."""
        return self.edits / max(1, self.characters)


class CorrectedLines:
    """The corrected lines of one store; safe for threads. Every question looks first what is new.

    Args:
        folder: of the store; where there is none yet, there are no lines.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mutex = threading.Lock()
        self._kept = _Kept()
        self._log = AppendLog(folder / LOG, take=self._take, forget=self._forget)

    def count(self) -> tuple[int, str]:
        """Return how many lines were corrected and not withdrawn, and a digest of what is said of them.

        The digest is the same for the same lines, whoever reads them in whatever process; "" where there are none.

        Raises:
            DataError: the store is damaged, of another format version, or cannot be read.
        """
        with self._mutex:
            self._catch_up()
            if self._kept.counted is None:
                self._kept.counted = self._kept.count()
            return self._kept.counted

    def known(self, places: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return those places, a request's id and a position in it, that were corrected, whatever came of it.

        Raises:
            DataError: as in `count`.
        """
        with self._mutex:
            self._catch_up()
            return {place for place in places if _named(*place) in self._kept.places}

    def sampled(self, newest: int) -> dict[str, SampledErrors]:
        """Return the errors of each model's readings on lines that were drawn and corrected, by bundle digest.

        Lines that somebody looked at because of what was read there are left out.

        Args:
            newest: so many of the newest lines of a model are counted.

        Raises:
            DataError: as in `count`.
        """
        with self._mutex:
            self._catch_up()
            if newest not in self._kept.sampled:
                self._kept.sampled = {newest: self._kept.sample(newest)}
            return dict(self._kept.sampled[newest])

    def _catch_up(self) -> None:
        try:
            with self._log.reading():
                pass
        except FileNotFoundError:
            pass  # forgotten, if there was one
        except OSError as error:
            raise DataError(f"{self._log.file}: cannot be read ({error.strerror})") from error

    def _take(self, line: bytes, _place: int) -> None:
        self._kept.take(from_json(line))

    def _forget(self) -> None:
        self._kept = _Kept()


class _Kept:
    """What is kept of the corrections of a log."""

    def __init__(self) -> None:
        self.places = Numbered()
        self.counted: tuple[int, str] | None = None
        """What `count` returned, until something new comes."""
        self.sampled: dict[int, dict[str, SampledErrors]] = {}
        """What `sample` returned for its argument, until something new comes."""
        self._words = LastWords()
        self._said = bytearray()
        """Of each correction a hash of its id, image and text."""
        self._is_drawn = bytearray()
        self._models, self._edits, self._characters = array("I"), array("H"), array("H")
        self._numbers_of_models: dict[str, int] = {}

    def take(self, record: Record) -> None:
        """Take in the next record; where it is refused, all is as it was."""
        if isinstance(record, Withdrawal):
            self._words.withdraw(record.id)
        else:
            number = self._words.add(record)
            said = f"{record.id} {record.image_digest} {record.new_text}".encode()
            self._said += hashlib.blake2b(said, digest_size=_SAID_BYTES).digest()
            self._is_drawn.append(record.chosen_by == SAMPLE)
            models = self._numbers_of_models
            self._models.append(models.setdefault(record.bundle_digest, len(models)))
            errors = count_errors(record.new_text, record.old_text)
            self._edits.append(errors.edits)
            self._characters.append(errors.characters)
            if record.request_id:
                self.places.setdefault(_named(record.request_id, record.position), number)
        self.counted, self.sampled = None, {}

    def count(self) -> tuple[int, str]:
        lasts, firsts = self._words.lines()
        if not len(lasts):
            return 0, ""
        low, high = np.frombuffer(bytes(self._said), "<u8").reshape(-1, 2)[lasts].T
        drawn = np.frombuffer(bytes(self._is_drawn), np.uint8)[firsts]
        order = np.lexsort((drawn, low, high))  # whatever the order in which a store got them
        content = hashlib.sha256()
        for column in (high, low, drawn):
            content.update(column[order].tobytes())
        return len(lasts), f"sha256:{content.hexdigest()}"

    def sample(self, newest: int) -> dict[str, SampledErrors]:
        lasts, firsts = self._words.lines()
        drawn = np.frombuffer(bytes(self._is_drawn), np.bool_)[firsts]
        words = np.sort(lasts[drawn])
        models, edits, characters = (
            np.array(column, np.int64)[words] for column in (self._models, self._edits, self._characters)
        )
        found = {}
        for digest, number in self._numbers_of_models.items():
            mine = np.flatnonzero(models == number)[-newest:]
            if len(mine):
                found[digest] = SampledErrors(
                    lines=len(mine), edits=int(edits[mine].sum()), characters=int(characters[mine].sum())
                )
        return found


def _named(request_id: str, position: int) -> str:
    return f"{position} {request_id}"
