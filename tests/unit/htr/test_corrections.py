"""The correction format: what is a correction, and what a line of JSON must say to be one."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from htr.append_log import DamagedLineError
from htr.corrections import Correction, Withdrawal, from_json, to_json
from htr.errors import DataError

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CORRECTION = Correction(
    id="c-1",
    time=NOON,
    author="Ada",
    model_version="7",
    bundle_digest="sha256:" + "b" * 64,
    old_text="",
    new_text="Zoé \u2028£".replace("\u2028", "«"),
    image_digest="sha256:" + "a" * 64,
)


def test_a_record_reads_as_it_was_written() -> None:
    full = replace(CORRECTION, line="p7/3", writer="w", page="p7", language="fra", request_id="r", position=2)
    for record in (CORRECTION, full, Withdrawal(id="c-1", time=NOON, author="Bo", reason="wrong line")):
        assert from_json(to_json(record).encode()) == record
    assert "\n" not in to_json(CORRECTION)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "../x"),
        ("id", "x" * 129),
        ("author", ""),
        ("author", "x" * 201),
        ("author", "a\nb"),
        ("model_version", ""),
        ("bundle_digest", "sha256:b"),
        ("image_digest", "a" * 64),
        ("new_text", ""),
        ("new_text", "Zoe\u0301"),
        ("new_text", "two  spaces"),
        ("new_text", "\ud800"),
        ("old_text", "x" * 2001),
        ("language", "english"),
        ("chosen_by", "chance"),
        ("position", -1),
        ("time", NOON.replace(tzinfo=None)),
        ("time", NOON.astimezone(timezone(timedelta(hours=1)))),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(CORRECTION, **{field: value})


def test_every_byte_that_is_missing_or_altered_is_noticed() -> None:
    line = to_json(CORRECTION).encode()
    for end in range(len(line)):
        with pytest.raises(DamagedLineError):
            from_json(line[:end])
    altered = line.replace(b'"Ada"', b'"Eve"')
    assert altered != line
    with pytest.raises(DamagedLineError, match="digest does not fit"):
        from_json(altered)


def test_a_sound_line_that_is_no_record_of_this_version_is_refused() -> None:
    values = json.loads(to_json(CORRECTION))
    with pytest.raises(DataError, match="format version 2, this program reads 1"):
        from_json(json.dumps({**values, "format_version": 2}).encode())
    assert not issubclass(DataError, DamagedLineError)


def test_only_the_time_may_differ_between_two_that_say_the_same() -> None:
    assert CORRECTION.says_the_same(replace(CORRECTION, time=NOON + timedelta(hours=1)))
    assert not CORRECTION.says_the_same(replace(CORRECTION, new_text="other"))
    assert not CORRECTION.says_the_same(replace(CORRECTION, chosen_by="sample"))
