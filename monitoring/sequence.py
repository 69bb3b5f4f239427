"""Several windows -> one alert: raised when the latest window drifted and, of the last few, so many did.

    HISTORY.jsonl    one line a check: when, which readings, what it came to; append-only

One window alarms falsely in a share alpha of cases. Were windows independent, an alert of M of N would do so in a
share ``false_alert_rate(alpha, M, N)``. They share one reference and its luck, so that the true share lies between
the two; docs/drift.md has what was measured. Windows count once: of overlapping ones the later.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from htr.append_log import AppendLog, DamagedLineError
from htr.errors import DataError, OutputError, SettingsError
from monitoring.verdict import Alert, State, Verdict

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A check that was made."""

    checked: datetime
    since: datetime | None
    until: datetime | None
    bundle_digest: str
    state: State
    rows: int
    p_value: float | None
    drifted: tuple[str, ...]
    estimated_cer: float | None
    measured_cer: float | None

    @classmethod
    def of(cls, verdict: Verdict, checked: datetime) -> "Window":
        """Return what is kept of a verdict."""
        estimated = verdict.estimated
        return cls(
            checked=checked,
            since=verdict.since,
            until=verdict.until,
            bundle_digest=verdict.bundle_digest,
            state=verdict.state,
            rows=verdict.rows,
            p_value=verdict.p_value,
            drifted=tuple(feature.name for feature in verdict.drifted),
            estimated_cer=estimated.cer if estimated and not estimated.cannot_tell else None,
            measured_cer=verdict.measured.cer if verdict.measured else None,
        )

    def to_json(self) -> bytes:
        """Return the window's line, without its end."""
        times = {name: at.isoformat() if (at := getattr(self, name)) else None for name in _TIMES}
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self), **times}).encode()

    @classmethod
    def from_json(cls, line: bytes) -> "Window":
        """Read a line that `to_json` wrote.

        Raises:
            DamagedLineError: the line is cut off.
            DataError: it is of another format version, or no window.
        """
        try:
            values: dict[str, Any] = json.loads(line)
            version = values.pop("format_version")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DamagedLineError(f"not a whole window ({error!r})") from error
        if version != FORMAT_VERSION:
            raise DataError(f"format version {version}, this program reads {FORMAT_VERSION}")
        try:
            times = {name: datetime.fromisoformat(values[name]) if values[name] else None for name in _TIMES}
            return cls(**{**values, **times, "drifted": tuple(values["drifted"])})
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"not a window ({error!r})") from error


_TIMES = ("checked", "since", "until")


class History:
    """Windows in a file that only grows.

    Args:
        file: made when first added to; its folder, too.
    """

    def __init__(self, file: Path) -> None:
        self._windows: list[Window] = []
        self._log = AppendLog(
            file, take=lambda line, _: self._windows.append(Window.from_json(line)), forget=self._windows.clear
        )

    def add(self, window: Window) -> tuple[Window, ...]:
        """Add a window; return all, oldest first, when it is on disk.

        Raises:
            OutputError: the file cannot be written.
            DataError: it is damaged or of another version.
        """
        try:
            self._log.file.parent.mkdir(parents=True, exist_ok=True)
            with self._log.appending():
                self._log.append(window.to_json())
                return tuple(self._windows)
        except OSError as error:
            raise OutputError(f"{self._log.file}: cannot be written ({error.strerror}); choose another") from error

    def read(self) -> tuple[Window, ...]:
        """Return all windows, oldest first; none where there is no file yet.

        Raises:
            DataError: the file cannot be read, is damaged or of another version.
        """
        try:
            with self._log.reading():
                return tuple(self._windows)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise DataError(f"{self._log.file}: cannot be read ({error.strerror})") from error


def find_alert(windows: Sequence[Window], *, needed: int, of: int) -> Alert:
    """Say whether the latest window and those before it make an alert.

    Windows of another model are passed over, and those with too few readings, and those that overlap a later one.

    Args:
        windows: oldest first; the last one is the latest.
        needed: drifted windows that make an alert, the latest among them.
        of: windows that are looked at.

    Raises:
        SettingsError: needed and of make no sense together.
    """
    if not 1 <= needed <= of:
        raise SettingsError(f"an alert of {needed} out of {of} windows makes no sense; 2/3 is usual")
    latest = windows[-1]
    taken: list[Window] = []
    for window in reversed(windows):
        apart = not taken or (window.until and taken[-1].since and window.until < taken[-1].since)
        if apart and window.bundle_digest == latest.bundle_digest and window.state != "not_enough":
            taken.append(window)
        if len(taken) == of:
            break
    drifted = sum(window.state == "drift" for window in taken)
    return Alert(
        raised=latest.state == "drift" and drifted >= needed,
        drifted_windows=drifted,
        windows=len(taken),
        needed=needed,
        of=of,
    )


def false_alert_rate(alpha: float, needed: int, of: int) -> float:
    """Return the share of false alerts among independent windows that each alarm falsely in a share alpha."""
    others = of - 1
    return alpha * sum(
        math.comb(others, k) * alpha**k * (1 - alpha) ** (others - k) for k in range(needed - 1, others + 1)
    )
