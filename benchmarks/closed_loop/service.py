"""Lines in, windows out: read by the server, checked as soon as they are logged, compared with what they say."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.closed_loop.windows import Window, in_words, window_of
from htr.lines import Line
from pipelines.children import run_told
from pipelines.server import ModelServer, Served, settled
from pipelines.summary import Screen

LEAST_IN_WINDOW = 150


@dataclass(kw_only=True)
class Service:
    """A server in use, and somebody who checks what it reads."""

    server: ModelServer
    folder: Path
    """Of the telling: the server's log lies in it, and the checks."""
    screen: Screen
    windows: list[Window] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """The prediction log."""
        return self.folder / "prediction-log"

    def serve(
        self,
        hand: str,
        lines: Sequence[Line],
        *,
        bundle: Path,
        most_windows: int,
        on_window: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> list[Served]:
        """Have lines read window by window.

        Args:
            hand: what they are, for the figure.
            lines: in the order in which they come.
            bundle: of the model that serves.
            most_windows: fewer where there would not be LEAST_IN_WINDOW lines in each.
            on_window: told the verdict on each.

        Raises:
            QuillflowError: server or check failed.
        """
        served: list[Served] = []
        num_windows = max(1, min(most_windows, len(lines) // LEAST_IN_WINDOW))
        for part in np.array_split(np.arange(len(lines)), num_windows):
            since = datetime.now(UTC)
            read = self.server.read([lines[at] for at in part])
            settled(self.log, self.server.num_read)
            verdict = self._check(bundle, since)
            self.windows.append(window_of(hand, read, verdict))
            self.screen.note(in_words(self.windows[-1]))
            served += read
            on_window(verdict)
        return served

    def _check(self, bundle: Path, since: datetime) -> dict[str, Any]:
        out = self.folder / "check"
        words: list[str | Path] = ["monitoring", "check", "--bundle", bundle, "--log", self.log, "--out", out]
        words += ["--since", since.isoformat(), "--history", self.folder / "windows.jsonl"]
        run_told([*words, "--independent-lines"], lambda _: None)
        verdict: dict[str, Any] = json.loads((out / "drift.json").read_text(encoding="utf-8"))
        return verdict
