"""Images in an uncompressed tar: its members are listed once, then read at their place; nothing is unpacked."""

import hashlib
import tarfile
from array import array
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from htr.errors import DataError
from htr.importers.rows import RowRejected

MAX_IMAGE_BYTES = 64 * 2**20
"""A larger file is no line, and is refused before it is read."""


def check_size(num_bytes: int) -> None:
    """Refuse an image file that is too large to be a line.

    Raises:
        RowRejected: it has more than MAX_IMAGE_BYTES.
    """
    if num_bytes > MAX_IMAGE_BYTES:
        raise RowRejected("too_large_image", f"{num_bytes} bytes, at most {MAX_IMAGE_BYTES} are read")


class _Index:
    """Hashes of names, sorted, with the numbers of the members that have them."""

    def __init__(self, hashes: "array[int]") -> None:
        values = np.asarray(hashes, np.uint64)
        self._order = np.argsort(values, kind="stable")
        self._sorted = values[self._order]

    def of(self, name: str) -> list[int]:
        """Return the members that a name may stand for, in the order of the tar."""
        wanted = np.uint64(_hashed(name))
        first, end = (int(np.searchsorted(self._sorted, wanted, side=side)) for side in ("left", "right"))
        numbers: list[int] = self._order[first:end].tolist()
        return numbers


class TarImages:
    """The images in one uncompressed tar.

    A million members take about 100 MB: their names as they are, and numbers beside them.

    Raises:
        DataError: it is not an uncompressed tar, or it is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: BinaryIO | None = None
        names, ends, offsets, sizes = bytearray(), array("Q"), array("Q"), array("Q")
        paths, basenames = array("Q"), array("Q")
        try:
            for member in _members(path):
                name = member.name.removeprefix("./")
                names += name.encode(errors="surrogatepass")
                ends.append(len(names))
                offsets.append(member.offset_data)
                sizes.append(member.size)
                paths.append(_hashed(name))
                basenames.append(_hashed(PurePosixPath(name).name))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        self._names = bytes(names)
        self._ends, self._offsets, self._sizes = (np.asarray(a, np.uint64) for a in (ends, offsets, sizes))
        self._paths, self._basenames = _Index(paths), _Index(basenames)

    def __enter__(self) -> Self:
        self._stream = self.path.open("rb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream:
            self._stream.close()

    def read(self, name: str) -> bytes | None:
        """Return the member ``images/NAME`` or ``NAME``, else the one whose path ends so; None without one.

        Raises:
            RowRejected: several members end so, or the member is too large.
        """
        for exact in (f"images/{name}", name):
            numbers = [number for number in self._paths.of(exact) if self._name(number) == exact]
            if numbers:
                return self._read(numbers[-1])  # of two of one name the last is what counts in a tar
        basename = PurePosixPath(name).name
        alike = {self._name(number): number for number in self._basenames.of(basename)}
        found = sorted(member for member in alike if member.endswith(f"/{name}"))
        if len(found) > 1:
            raise RowRejected("ambiguous_image", f"{self.path.name} holds {', '.join(found[:3])}")
        return self._read(alike[found[0]]) if found else None

    def _name(self, number: int) -> str:
        begin = int(self._ends[number - 1]) if number else 0
        return self._names[begin : int(self._ends[number])].decode(errors="surrogatepass")

    def _read(self, number: int) -> bytes:
        if self._stream is None:
            raise ValueError("TarImages is read within its with block")
        size = int(self._sizes[number])
        check_size(size)
        self._stream.seek(int(self._offsets[number]))
        return self._stream.read(size)


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the regular files of a tar."""
    try:
        length = path.stat().st_size
        with tarfile.open(path, "r:") as archive:
            last = -1
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # or it keeps a kilobyte of every one
                if archive.offset <= last:  # a negative size, which older versions of Python follow for ever
                    raise tarfile.ReadError("a member that ends before it begins")
                last = archive.offset
                if not 0 <= member.size <= length - member.offset_data:
                    raise tarfile.ReadError(f"{member.name[:200]!r} ends where the file does not")
                if member.isreg() and not member.issparse():
                    yield member
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:  # headers of headers
        raise DataError(
            f"{path}: not a whole, uncompressed tar ({error}); unpack .tar.gz with gunzip, or copy it again"
        ) from error


def _hashed(name: str) -> int:
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
