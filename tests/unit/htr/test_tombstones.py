from datetime import UTC, datetime
from pathlib import Path

import pytest

from htr.errors import DataError
from htr.tombstones import FILE, Tombstone, Tombstones, hashed

GOLDEN = Path(__file__).parents[2] / "golden" / "erased-1"
IMAGE = "sha256:" + "ab" * 32


def test_the_format_stays_as_it_was_written_once(tmp_path: Path) -> None:
    stones = Tombstones(GOLDEN)
    stones.catch_up()
    assert stones.covers("desk-1", "sha256:other")
    assert stones.covers("other", IMAGE)
    assert not stones.covers("other", "sha256:other")
    written = Tombstone(time=datetime(2026, 11, 21, 12, tzinfo=UTC), id=hashed("desk-1"), image=hashed(IMAGE))
    Tombstones(tmp_path).add([written, written])
    assert (tmp_path / FILE).read_bytes() == (GOLDEN / FILE).read_bytes()


def test_another_version_and_damage_are_errors_and_a_torn_end_is_none(tmp_path: Path) -> None:
    line = (GOLDEN / FILE).read_text()
    (tmp_path / FILE).write_text(line + line[:30])
    Tombstones(tmp_path).catch_up()
    for damaged in (line.replace(": 1,", ": 2,"), line[:30] + "\n" + line):
        (tmp_path / FILE).write_text(damaged)
        with pytest.raises(DataError, match=r"erased\.jsonl: line 1"):
            Tombstones(tmp_path).catch_up()
