"""What was erased, and must not come back: ``erased.jsonl`` beside the corrections, without a word of what it was.

A tombstone is a time and two hashes: of the correction's id, and of its image's digest. Who has neither learns
nothing from it; who sends the same correction or the same image again is told that it was erased.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from htr.append_log import AppendLog, DamagedLineError
from htr.errors import DataError

FORMAT_VERSION = 1
FILE = "erased.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tombstone:
    """One correction that was erased."""

    time: datetime
    id: str
    """``sha256:...`` of the correction's id."""
    image: str
    """``sha256:...`` of the digest that the image went by."""


def hashed(text: str) -> str:
    """Return the hash that a name goes by in a tombstone."""
    return "sha256:" + hashlib.sha256(b"quillflow erased " + text.encode()).hexdigest()


class Tombstones:
    """The tombstones of one folder, followed to their end.

    Args:
        folder: of the corrections.
    """

    def __init__(self, folder: Path) -> None:
        self._ids: set[str] = set()
        self._images: set[str] = set()
        self._log = AppendLog(folder / FILE, take=self._take, forget=self._forget)

    def catch_up(self) -> None:
        """Take in what was added since.

        Raises:
            DataError: the file is damaged or of another format version.
            OSError: it cannot be read.
        """
        try:
            with self._log.reading():
                pass
        except FileNotFoundError:
            pass  # forgotten, if there was one

    def covers(self, correction_id: str, image_digest: str) -> bool:
        """Return whether a correction, or its image, was erased."""
        return hashed(correction_id) in self._ids or hashed(image_digest) in self._images

    def add(self, tombstones: Iterable[Tombstone]) -> None:
        """Add tombstones; when this returns, they are on disk. Those that are there are not added again.

        Raises:
            OSError: they cannot be written.
        """
        with self._log.appending():
            for one in tombstones:
                if one.id not in self._ids or one.image not in self._images:
                    self._log.append(_line(one))

    def _take(self, line: bytes, _place: int) -> None:
        try:
            values = json.loads(line)
            version, kept = values["format_version"], (values["id"], values["image"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedLineError(f"not a whole tombstone ({error!r})") from error
        if version != FORMAT_VERSION:
            raise DataError(f"format version {version}, this program reads {FORMAT_VERSION}")
        self._ids.add(kept[0])
        self._images.add(kept[1])

    def _forget(self) -> None:
        self._ids.clear()
        self._images.clear()


def _line(one: Tombstone) -> bytes:
    values = {"format_version": FORMAT_VERSION, "time": one.time.isoformat(), "id": one.id, "image": one.image}
    return json.dumps(values).encode()
