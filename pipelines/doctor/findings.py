"""What an examination found: one line a check, and for each failure what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from htr.errors import QuillflowError

FORMAT_VERSION = 1
State = Literal["ok", "warning", "failed", "skipped"]
_MARKS: Mapping[State, str] = {"ok": "ok     ", "warning": "warning", "failed": "FAILED ", "skipped": "-      "}


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    """Part and what of it, such as ``mlflow: answers``."""
    state: State
    """``warning``: it works, but not for long or not for all; ``skipped``: nothing here says that it is used."""
    said: str
    do: str = ""
    """What to do, where something is to be done."""

    def __post_init__(self) -> None:
        if (self.state in ("failed", "warning")) != bool(self.do):
            raise ValueError(f"{self.name}: what fails says what to do, and nothing else does")


@dataclass(kw_only=True)
class Findings:
    """All checks of an examination."""

    where: str
    """``cluster`` within a pod, else ``here``."""
    checks: list[Check] = field(default_factory=list)

    def ok(self, name: str, said: str) -> None:
        """Note that something is as it should be."""
        self.checks.append(Check(name=name, state="ok", said=said))

    def warn(self, name: str, said: str, do: str) -> None:
        """Note that something works, and will not for long or not for all."""
        self.checks.append(Check(name=name, state="warning", said=said, do=do))

    def fail(self, name: str, said: str, do: str) -> None:
        """Note that something does not work."""
        self.checks.append(Check(name=name, state="failed", said=said, do=do))

    def skip(self, name: str, said: str) -> None:
        """Note that something was not looked at, and why."""
        self.checks.append(Check(name=name, state="skipped", said=said))

    @contextmanager
    def looking(self, name: str, do: str) -> Iterator[None]:
        """Turn what a look raises into a failure; one part that is broken must not hide the others."""
        try:
            yield
        except QuillflowError as error:
            self.fail(name, str(error), do)
        except Exception as error:  # noqa: BLE001, RUF100 - whatever a client lets through is a finding
            said = " ".join(str(error).split()) or repr(error)
            self.fail(name, f"{type(error).__name__}: {said[:300]}", do)

    @property
    def status(self) -> int:
        """Return the exit status: 1 where something does not work."""
        return 1 if any(check.state == "failed" for check in self.checks) else 0

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "format_version": FORMAT_VERSION,
            "where": self.where,
            "healthy": self.status == 0,
            "checks": [asdict(check) for check in self.checks],
        }


def report_text(found: Findings) -> str:
    """Return the findings for people, one line a check."""
    width = max((len(check.name) for check in found.checks), default=0)
    lines = []
    for check in found.checks:
        lines.append(f"{_MARKS[check.state]}  {check.name:<{width}}  {check.said}")
        if check.do:
            lines.append(f"{'':>9}{'':<{width}}  -> {check.do}")
    counts = {state: sum(check.state == state for check in found.checks) for state in _MARKS}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return "\n".join([*lines, told])
