"""Images are read from tars where they lie, and a tar that was made to do harm is told of."""

import io
import tarfile
from pathlib import Path

import pytest

from htr.errors import DataError
from htr.importers.rows import RowRejected
from htr.importers.tars import TarImages


def write(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_a_member_is_found_by_its_path_else_by_how_its_path_ends(tmp_path: Path) -> None:
    members = [("images/a.png", b"1"), ("a.png", b"2"), ("./b.png", b"3"), ("x/c.png", b"4"), ("x/y/d.png", b"5")]
    with TarImages(write(tmp_path / "t.tar", members)) as images:
        names = ("a.png", "b.png", "c.png", "y/d.png", "e.png", ".png")
        assert [images.read(name) for name in names] == [b"1", b"3", b"4", b"5", None, None]


def test_of_two_members_of_one_name_the_last_counts_and_two_folders_are_not_guessed_between(
    tmp_path: Path,
) -> None:
    members = [("a.png", b"old"), ("a.png", b"new"), ("x/b.png", b"1"), ("y/b.png", b"2")]
    with TarImages(write(tmp_path / "t.tar", members)) as images:
        assert images.read("a.png") == b"new"
        with pytest.raises(RowRejected, match="ambiguous_image"):
            images.read("b.png")


def test_many_members_with_the_same_last_name_are_found_by_their_paths(tmp_path: Path) -> None:
    members = [(f"{n:04d}/line.png", b"%d" % n) for n in range(2000)]
    with TarImages(write(tmp_path / "t.tar", members)) as images:
        assert [images.read(f"{n:04d}/line.png") for n in (0, 7, 1999)] == [b"0", b"7", b"1999"]


@pytest.mark.parametrize("kind", [b"L", b"x"])
def test_headers_that_announce_headers_without_end_are_refused(tmp_path: Path, kind: bytes) -> None:
    header = bytearray(write(tmp_path / "one.tar", [("a", b"11 size=5\n")]).read_bytes()[:1024])
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    (tmp_path / "t.tar").write_bytes(bytes(header) * 1200 + bytes(1024))
    with pytest.raises(DataError, match="not a whole, uncompressed tar"):
        TarImages(tmp_path / "t.tar")
