"""Following a log: what is new is read once, whatever becomes of the file."""

import threading
from pathlib import Path

import pytest

from htr import append_log
from htr.append_log import AppendLog, DamagedLineError
from htr.errors import DataError


class Follower:
    """Notes all lines of a log; a line with a question mark is damaged."""

    def __init__(self, file: Path) -> None:
        self.lines: list[bytes] = []
        self.taken: list[bytes] = []
        """Since `look` was last called."""
        self.log = AppendLog(file, take=self.take, forget=self.lines.clear)

    def take(self, line: bytes, _place: int) -> None:
        if b"?" in line:
            raise DamagedLineError("a question mark")
        self.lines.append(line)
        self.taken.append(line)

    def look(self) -> list[bytes]:
        self.taken.clear()
        with self.log.reading():
            pass
        return self.taken


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture(params=[1, 7, 2**20])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append_log, "BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("block")
def test_a_look_takes_what_is_new_in_blocks_of_any_size(file: Path) -> None:
    file.write_bytes(b"first\n\nthird, which is long\n")
    follower = Follower(file)
    assert follower.look() == [b"first", b"", b"third, which is long"]
    assert follower.look() == []
    with file.open("ab") as log:
        log.write(b"4\n5\nhal")
    assert follower.look() == [b"4", b"5"]
    with file.open("ab") as log:
        log.write(b"f\n7?\n")
    assert follower.look() == [b"half"], "what is damaged at the end may be half-written"
    with file.open("ab") as log:
        log.write(b"8\n")
    with pytest.raises(DataError, match="line 7: a question mark"):
        follower.look()


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("now", [b"b\nc\n", b"b\nc\nd\nand much more\n", b"", b"a\nB\nc\nd\n"])
def test_what_is_written_anew_under_the_same_number_is_read_from_its_beginning(file: Path, now: bytes) -> None:
    file.write_bytes(b"a\nb\n")
    follower = Follower(file)
    follower.look()
    inode = file.stat().st_ino
    file.write_bytes(now)
    assert file.stat().st_ino == inode
    follower.look()
    assert follower.lines == now.splitlines()


def test_another_file_in_its_place_is_read_from_its_beginning_and_only_once(file: Path) -> None:
    file.write_bytes(b"a\nb\n")
    follower = Follower(file)
    follower.look()
    with follower.log.appending():
        follower.log.replace([b"a", b"c"])
    assert follower.look() == [b"a", b"c"]
    assert follower.look() == []
    assert follower.lines == [b"a", b"c"]


def test_a_file_that_was_away_is_read_anew_when_it_is_back(file: Path) -> None:
    file.write_bytes(b"a\nb\n")
    follower = Follower(file)
    follower.look()
    away = file.rename(file.with_name("away"))
    with pytest.raises(FileNotFoundError):
        follower.look()
    assert follower.lines == []
    away.rename(file)
    follower.look()
    assert follower.lines == [b"a", b"b"]


def test_a_reader_that_waited_while_another_file_took_the_place_reads_that_one(file: Path) -> None:
    file.write_bytes(b"a\nb\n")
    writer, reader = Follower(file), Follower(file)
    with writer.log.appending():
        waiting = threading.Thread(target=reader.look)
        waiting.start()
        waiting.join(timeout=0.1)
        writer.log.replace([b"b"])
    waiting.join()
    assert reader.lines == [b"b"]


def test_while_a_snapshot_is_looked_at_others_write_and_it_stays_what_it_is(file: Path) -> None:
    file.write_bytes(b"a\nb\n")
    reader, writer = Follower(file), Follower(file)
    with reader.log.snapshot():
        with writer.log.appending():
            writer.log.append(b"c")
        with writer.log.appending():
            writer.log.replace([b"c"])
        assert reader.lines == [b"a", b"b"]
        assert reader.log.line_at(2, 1) == b"b"
    assert reader.look() == [b"c"]
