"""What a store of versions needs of the place where it keeps its bytes; a folder and S3 both give it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

OnBytes = Callable[[int], None]
"""Called with the number of bytes that went out since the last call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A small object as it was read."""

    data: bytes
    tag: str
    """Changes whenever the object does; `Objects.write` takes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What is known of an object, or of one that was begun, without reading it."""

    key: str
    size: int
    """Bytes."""
    time: datetime
    """When it was written or begun, UTC."""


class Objects(Protocol):
    """Bytes under keys. A key appears whole or not at all; failures are StoreError and name the address."""

    uri: str
    """Address of the store."""

    def prepare(self) -> None:
        """Make sure that `write` keeps its promise here, before anything long begins."""

    def read(self, key: str) -> Stored | None:
        """Return a small object, or None where there is none."""

    def write(self, key: str, data: bytes, *, replacing: str | None) -> bool:
        """Write a small object, unless somebody else was there first.

        Args:
            key: where.
            data: what.
            replacing: tag of what is there now; None where nothing is.

        Returns:
            False where something else is there: nothing was written then.
        """

    def size(self, key: str) -> int | None:
        """Return the size in bytes, or None where there is nothing."""

    def send(self, key: str, file: Path, *, size: int, sha256: str, on_bytes: OnBytes) -> None:
        """Store a file; what a killed try has sent already is not sent again.

        Raises:
            DataError: the file changed meanwhile.
        """

    def remove(self, key: str) -> None:
        """Remove an object; where there is none, that is as well."""

    def keeps_removed(self) -> bool:
        """Return whether the place is known to keep what is removed, as a bucket with versioning does."""

    def kept(self, prefix: str) -> Iterator[Kept]:
        """Yield every object whose key begins so; a prefix ends with a slash."""

    def begun(self) -> Iterator[Kept]:
        """Yield what somebody began to write and has not ended; in S3 uploads in parts, their size told as 0."""

    def pieces(self, key: str, start: int) -> Iterator[bytes]:
        """Yield an object's bytes from a place on, to its end.

        Raises:
            FileNotFoundError: there is no such object.
        """
