"""The training clock, inside a peer's process: lines shown, seconds spent on them, validations.

Only the time between training batches counts, validation and saving excluded, and the first batch, in which some
build their graph; alike for all peers. A framework's callback calls `batch`, `pause` and `validated`. Standard
library only.
"""

import json
import time
from pathlib import Path
from typing import Any


class Meter:
    """Counts one training run and tells its state in a file.

    Args:
        file: where; read by `children.read_progress`.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._born = time.monotonic()
        self._mark: float | None = None
        self._told = 0.0
        self._first: tuple[int, float] | None = None
        self._state: dict[str, Any] = {"lines": 0, "training_s": 0.0, "lines_per_s": 0.0, "validations": []}

    @property
    def age_s(self) -> float:
        """Return the seconds since the clock was made."""
        return time.monotonic() - self._born

    def resume(self) -> None:
        """Let the clock run, where it does not already."""
        if self._mark is None:
            self._mark = time.monotonic()
            self._state.setdefault("began_s", self._mark - self._born)

    def batch(self, lines: int) -> None:
        """Note that a batch of so many lines was learnt from."""
        now = time.monotonic()
        self._state["lines"] += lines
        if self._mark is not None:
            self._state["training_s"] += now - self._mark
        self._mark = now
        if self._first is None:
            self._first = self._state["lines"], self._state["training_s"]
        seconds = self._state["training_s"] - self._first[1]
        if seconds > 0:
            self._state["lines_per_s"] = (self._state["lines"] - self._first[0]) / seconds
        if now - self._told > 0.5:
            self.tell()

    def pause(self) -> None:
        """Stop the clock until the next batch begins."""
        self._mark = None

    def validated(self, cer: float | None) -> None:
        """Note a validation and what character error rate the peer itself found."""
        self._state["validations"].append({"at_s": time.monotonic() - self._born, "cer": cer})
        self._state["validation_cer"] = cer
        self.tell()

    def tell(self) -> None:
        """Write the state, whole or not at all."""
        self._told = time.monotonic()
        tell(self._file, self._state)


def tell(file: Path, state: dict[str, Any]) -> None:
    """Write what a child says about itself: ``lines``, ``total``, ``lines_per_s``, ``validation_cer``, ..."""
    partial = file.with_name(file.name + ".partial")
    partial.write_text(json.dumps(state), encoding="utf-8")
    partial.replace(file)
