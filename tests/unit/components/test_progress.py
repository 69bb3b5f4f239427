"""Progress lines: marked, sparing, and with a rate that means something."""

import time

import pytest

from components.progress import Ticker, clock, errors_shown
from htr.errors import DataError


def test_the_first_call_starts_the_clock_and_later_ones_tell_rate_and_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ticker = Ticker("reading", 1000, every_s=0.0)
    ticker(400)
    assert capsys.readouterr().out == ""
    time.sleep(0.05)
    ticker(410, ", so far so good")
    line = capsys.readouterr().out
    assert line.startswith("» reading: 410 of 1,000, ")
    assert line.endswith(" left, so far so good\n")
    rate = float(line.split(", ")[1].removesuffix("/s"))
    assert 20 <= rate <= 200  # 10 in a little over 0.05 s, not 410


def test_a_short_count_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    ticker = Ticker("reading", 10)
    for done in range(1, 11):
        ticker(done)
    assert capsys.readouterr().out == ""


def test_time_is_shown_in_minutes_and_seconds() -> None:
    assert [clock(s) for s in (-1, 0.4, 61, 3599.6)] == ["0:00", "0:00", "1:01", "60:00"]


def test_an_error_to_be_mended_is_shown_line_by_line_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError), errors_shown():
        raise DataError("first\nsecond")
    assert capsys.readouterr().out == "✗ first\n✗ second\n"
