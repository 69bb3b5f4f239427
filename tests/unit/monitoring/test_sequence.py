from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from htr.errors import DataError, OutputError, SettingsError
from monitoring.sequence import History, Window, false_alert_rate, find_alert
from monitoring.verdict import State
from tests.fakes import NOON


def window(hour: float, state: State, *, digest: str = "sha256:a") -> Window:
    since = NOON + timedelta(hours=hour)
    return Window(
        checked=since + timedelta(hours=1), since=since, until=since + timedelta(hours=0.5), bundle_digest=digest,
        state=state, rows=200, p_value=0.5, drifted=(), estimated_cer=None, measured_cer=None,
    )  # fmt: skip


def raised(*windows: Window, needed: int = 2, of: int = 3) -> bool:
    return find_alert(windows, needed=needed, of=of).raised


def test_an_alert_needs_the_latest_window_and_enough_of_the_last_ones() -> None:
    drift, quiet = (lambda hour, state=state: window(hour, state) for state in ("drift", "quiet"))
    assert not raised(drift(0))
    assert raised(drift(0), drift(1))
    assert raised(drift(0), quiet(1), drift(2))
    assert not raised(drift(0), drift(1), quiet(2))
    assert not raised(drift(0), quiet(1), quiet(2), drift(3))
    assert raised(drift(0), needed=1, of=1)


def test_windows_that_say_nothing_new_are_passed_over() -> None:
    latest = window(3, "drift")
    assert not raised(window(2.8, "drift"), latest), "the same readings again"
    assert not raised(window(1, "drift", digest="sha256:old champion"), latest)
    assert raised(window(1, "drift"), window(2, "not_enough"), window(2.9, "quiet"), latest)


@pytest.mark.parametrize(("needed", "of"), [(0, 3), (4, 3)])
def test_an_alert_of_more_windows_than_are_looked_at_is_refused(needed: int, of: int) -> None:
    with pytest.raises(SettingsError, match="makes no sense"):
        raised(window(0, "drift"), needed=needed, of=of)


def test_the_stated_rate_of_false_alerts_is_the_one_of_independent_windows() -> None:
    alpha, rng = 0.1, np.random.default_rng(0)
    drifted = rng.random((20_000, 3)) < alpha
    alerts = (drifted[:, 2] & (drifted.sum(axis=1) >= 2)).mean()
    assert false_alert_rate(alpha, 2, 3) == pytest.approx(alerts, rel=0.1)
    assert false_alert_rate(0.01, 1, 1) == 0.01
    assert false_alert_rate(0.01, 2, 3) == pytest.approx(0.000199)


def test_a_history_keeps_every_window_and_survives_a_torn_end(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "windows.jsonl"
    assert History(file).read() == ()
    windows = tuple(window(hour, "drift") for hour in range(3))
    for number, one in enumerate(windows, start=1):
        assert History(file).add(one) == windows[:number]
    with file.open("ab") as out:
        out.write(windows[0].to_json()[:40])
    assert History(file).read() == windows
    assert History(file).add(windows[0]) == (*windows, windows[0])


def test_a_history_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "windows.jsonl"
    file.write_text('{"format_version": 9}\n')
    with pytest.raises(DataError, match=r"windows\.jsonl: line 1: format version 9"):
        History(file).read()
    file.write_text("oh\n{}\n")
    with pytest.raises(DataError, match="line 1: not a whole window"):
        History(file).read()
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        History(tmp_path / "taken" / "windows.jsonl").add(window(0, "quiet"))
