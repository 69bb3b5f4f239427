"""A folder of corrections, which only grows, erasure excepted: crash-safe, and open to several processes at once.

    DIR/corrections.jsonl    one record a line, in the order of arrival: see htr.corrections and htr.append_log
    DIR/images/HEX           the encoded images, by the hex digits of their SHA-256; each is kept once
    DIR/corrections.torn     what was cut off from a log that a crash had left half-written
    DIR/erased.jsonl         hashes of what was erased, so that it does not come back: see htr.tombstones

An image is on disk before the record that names it, and the record before `CorrectionStore.add` returns.
"""

import hashlib
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from htr.append_log import AppendLog, sync_folder, write_durably
from htr.corrections import Correction, Withdrawal, from_json, to_json
from htr.errors import ConflictError, DataError, MissingError, OutputError
from htr.tombstones import Tombstone, Tombstones, hashed

LOG = "corrections.jsonl"
IMAGES = "images"


@dataclass(frozen=True, slots=True)
class Stored:
    """A correction as it lies in the store."""

    correction: Correction
    withdrawal: Withdrawal | None
    """Set when the correction is not to be learnt from any more."""


class CorrectionStore:
    """Adds to a store and reads it, from any thread. In memory are only the places of the records.

    Args:
        folder: of the store; made when first added to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mutex = threading.Lock()
        self._places: dict[str, tuple[int, int]] = {}
        """Correction id -> where its line begins and how long it is."""
        self._withdrawals: dict[str, Withdrawal] = {}
        self._erased = Tombstones(folder)
        self._log = AppendLog(folder / LOG, take=self._take, forget=self._forget)

    def prepare(self) -> None:
        """Make the folder if need be, repair what a crash left, and read what is there.

        Raises:
            OutputError: the folder cannot be written.
            DataError: the log is damaged or of another format version.
        """
        with self._appending():
            pass

    def add(self, correction: Correction, image: bytes) -> bool:
        """Store a correction; when this returns, it and its image are on disk.

        Args:
            correction: what to store.
            image: the encoded image that ``correction.image_digest`` stands for.

        Returns:
            False where the store has it already, by id and by content; of its two times the first stays.

        Raises:
            ConflictError: the id stands for another correction, or this one or its image was erased.
            OutputError: it cannot be written; then the store is as it was.
            DataError: the log is damaged or of another format version.
        """
        if correction.image_digest != image_digest(image):
            raise ValueError("image_digest: is not the digest of the image that was given")
        with self._appending():
            self._erased.catch_up()
            if self._erased.covers(correction.id, correction.image_digest):
                raise ConflictError(f"correction {correction.id!r} or its image was erased; it is not taken again")
            is_new = correction.id not in self._places
            if not (is_new or correction.says_the_same(self._at(correction.id))):
                raise ConflictError(
                    f"id {correction.id!r} stands for another correction; send this one with an id of its own"
                )
            file = self.image_file(correction)
            if not file.is_file() or file.read_bytes() != image:
                write_durably(file, image)
            else:
                sync_folder(file.parent)  # whoever wrote it may not have lived to do that
            if is_new:
                self._log.append(to_json(correction).encode())
            return is_new

    def withdraw(self, withdrawal: Withdrawal) -> bool:
        """Note that a correction is not to be learnt from; when this returns, it is on disk.

        Returns:
            False where it was withdrawn before; the first withdrawal stays.

        Raises:
            MissingError: there is no correction of that id.
            OutputError: it cannot be written; then the store is as it was.
            DataError: the log is damaged or of another format version.
        """
        with self._appending():
            if withdrawal.id not in self._places:
                raise MissingError(f"there is no correction {withdrawal.id!r}; nothing was withdrawn")
            if is_new := withdrawal.id not in self._withdrawals:
                self._log.append(to_json(withdrawal).encode())
            return is_new

    def erase(self, ids: Collection[str], time: datetime) -> list[str]:
        """Remove corrections, their withdrawals and their images for good; when this returns, that is on disk.

        Their tombstones are written first: killed halfway, nothing comes back, and the same call ends it.

        Args:
            ids: of corrections, with all others of the same images; those that are not there are passed over.
            time: of the erasure, in UTC.

        Returns:
            The digests of their images.

        Raises:
            OutputError: the folder cannot be written.
            DataError: the log is damaged or of another format version.
        """
        with self._appending():
            images = {self._at(one).image_digest for one in self._places if one in ids}
            gone = [one for one in map(self._at, self._places) if one.image_digest in images]
            stones = [Tombstone(time=time, id=hashed(one.id), image=hashed(one.image_digest)) for one in gone]
            self._erased.add(stones)
            left = [one for one in map(self._at, self._places) if one.image_digest not in images]
            kept = {one.id for one in left}
            lines = [to_json(one).encode() for one in left]
            lines += [to_json(one).encode() for name, one in self._withdrawals.items() if name in kept]
            for one in gone:
                self.image_file(one).unlink(missing_ok=True)
            (self.folder / LOG).with_suffix(".torn").unlink(missing_ok=True)
            self._log.replace(lines)
            return sorted(images)

    def holds_erased(self) -> list[str]:
        """Return the ids of corrections that have a tombstone and are there all the same: somebody was killed."""
        self._erased.catch_up()
        return [
            one.correction.id
            for one in self.read()[0]
            if self._erased.covers(one.correction.id, one.correction.image_digest)
        ]

    def read(self, start: int = 0, most: int | None = None) -> tuple[list[Stored], int]:
        """Return corrections in the order of arrival, and how many there are in all, withdrawn ones included.

        Args:
            start: how many to pass over.
            most: how many to return at most.

        Raises:
            DataError: the log is damaged, of another format version, or cannot be read.
        """
        with self._mutex:
            try:
                with self._log.reading():
                    ids = list(self._places)[start : None if most is None else start + most]
                    return [self._stored(one) for one in ids], len(self._places)
            except FileNotFoundError:
                return [], 0
            except OSError as error:
                raise DataError(f"{self._log.file}: cannot be read ({error.strerror})") from error

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """Look at all corrections as they are now, one of them in memory at a time, while others go on adding.

        Whoever calls this object from another thread waits until the block ends.

        Raises:
            DataError: as `read`.
        """
        with self._mutex, ExitStack() as held:
            try:
                held.enter_context(self._log.snapshot())
                ids = list(self._places)
            except FileNotFoundError:
                ids = []
            except OSError as error:
                raise DataError(f"{self._log.file}: cannot be read ({error.strerror})") from error
            yield Snapshot(ids, self._read)

    def _read(self, correction_id: str) -> Stored:
        try:
            return self._stored(correction_id)
        except OSError as error:
            raise DataError(f"{self._log.file}: cannot be read ({error.strerror})") from error

    def image_file(self, correction: Correction) -> Path:
        """Return where the image of a correction lies."""
        return self.folder / IMAGES / correction.image_digest.removeprefix("sha256:")

    @contextmanager
    def _appending(self) -> Iterator[None]:
        with self._mutex:
            try:
                images = self.folder / IMAGES
                if not images.is_dir():
                    images.mkdir(parents=True, exist_ok=True)
                    sync_folder(self.folder.parent)
                with self._log.appending():
                    yield
            except OSError as error:
                reason = error.strerror or str(error)
                raise OutputError(
                    f"{self.folder}: corrections cannot be written ({reason}); free the disk or fix its rights"
                ) from error

    def _take(self, line: bytes, place: int) -> None:
        record = from_json(line)
        if isinstance(record, Withdrawal):
            if record.id not in self._places:
                raise DataError(f"withdraws {record.id!r}, which was never stored")
            self._withdrawals.setdefault(record.id, record)
        elif record.id in self._places:
            raise DataError(f"stores {record.id!r} for the second time")
        else:
            self._places[record.id] = (place, len(line))

    def _forget(self) -> None:
        self._places.clear()
        self._withdrawals.clear()

    def _stored(self, correction_id: str) -> Stored:
        return Stored(self._at(correction_id), self._withdrawals.get(correction_id))

    def _at(self, correction_id: str) -> Correction:
        try:
            record = from_json(self._log.line_at(*self._places[correction_id]))
        except DataError as error:
            raise DataError(f"{self._log.file}: correction {correction_id!r}: {error}") from error
        if not isinstance(record, Correction):
            raise DataError(f"{self._log.file}: correction {correction_id!r}: changed since it was read")
        return record


class Snapshot:
    """The corrections of a store at one moment, in the order of arrival; each is read when it is asked for.

    Args:
        ids: of all.
        read: reads one of them.
    """

    def __init__(self, ids: list[str], read: Callable[[str], Stored]) -> None:
        self._ids = ids
        self._read = read

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, number: int) -> Stored:
        return self._read(self._ids[number])

    def __iter__(self) -> Iterator[Stored]:
        return map(self._read, self._ids)


def image_digest(image: bytes) -> str:
    """Return ``sha256:...`` of an encoded image."""
    return "sha256:" + hashlib.sha256(image).hexdigest()
