"""Watches a run on Kubeflow Pipelines to its end, and tells when a step begins or ends."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from components.progress import clock
from htr.errors import ServiceError
from monitoring.governor.runs import RefusedError
from monitoring.kubeflow import ENDED, KfpServer

PATIENCE_S = 600.0
"""Silence of the API that is put up with; a run does not depend on who watches it."""
_INNER = ("-driver", "root")
"""Parts of the steps' names that are KFP's own."""


@dataclass(kw_only=True)
class Watch:
    """Follows one run.

    Args:
        server: the API.
        show: called with every line.
        every_s: seconds between two looks.
        now: seconds on a clock that never goes back.
        sleep: waits so many seconds.
    """

    server: KfpServer
    show: Callable[[str], None]
    every_s: float = 10.0
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _states: dict[str, str] = field(default_factory=dict)

    def to_the_end(self, run_id: str) -> bool:
        """Return whether the run ended well.

        Raises:
            RefusedError: the API no longer wants to tell us.
            ServiceError: it was silent for too long.
        """
        began = heard = self.now()
        state = ""
        while True:
            try:
                run = self.server.run(run_id)
            except RefusedError:
                raise
            except ServiceError as error:
                if self.now() - heard > PATIENCE_S:
                    raise ServiceError(
                        f"{error}; silent for {clock(self.now() - heard)}, the run may go on"
                    ) from error
            else:
                if heard != began and self.now() - heard > 2 * self.every_s:
                    self.show("  the API answers again")
                heard = self.now()
                self._tell(run, self.now() - began)
                if str(run.state) != state:
                    state = str(run.state)
                    if state not in ENDED:
                        self.show(f"{clock(self.now() - began)}  run {state.lower()}")
                if state in ENDED:
                    self._tell_end(run, self.now() - began)
                    return ENDED[state] == "succeeded"
            self.sleep(self.every_s)

    def _tell(self, run: Any, elapsed: float) -> None:
        for task in _tasks(run):
            name, state = str(task.display_name), str(task.state)
            if state != self._states.get(name) and state not in ("None", "PENDING"):
                self._states[name] = state
                took = ""
                if task.start_time and task.end_time and task.end_time > task.start_time:
                    took = f" in {clock((task.end_time - task.start_time).total_seconds())}"
                said = f": {task.error.message}" if task.error and task.error.message else ""
                self.show(f"{clock(elapsed)}  {name:<12} {state.lower()}{took}{said}")

    def _tell_end(self, run: Any, elapsed: float) -> None:
        said = f": {run.error.message}" if run.error and run.error.message else ""
        took = f" after {clock(elapsed)} of watching"
        if run.finished_at and run.created_at and run.finished_at > run.created_at:
            took = f" in {clock((run.finished_at - run.created_at).total_seconds())}"
        self.show(f"run {run.run_id} {str(run.state).lower()}{took}{said}")


def _tasks(run: Any) -> list[Any]:
    """Return the steps that are ours, in the order in which they began."""
    found = run.run_details.task_details if run.run_details else None
    ours = [
        task
        for task in found or []
        if task.display_name and not task.display_name.endswith(_INNER[0]) and task.display_name != _INNER[1]
    ]
    return sorted(ours, key=lambda task: str(task.start_time or task.create_time or ""))
