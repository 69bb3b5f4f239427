"""Trainings on this machine: the pipeline by kfp.local, each in a process that outlives the governor."""

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htr.bundle import Bundle
from htr.errors import BundleError, OutputError, ServiceError
from monitoring.governor.local_child import BEGAN, ENDED, LOCK
from monitoring.governor.runs import Found, RefusedError

BEGIN_TIMEOUT_S = 30.0
OUTPUT = "output.log"


@dataclass(frozen=True, kw_only=True)
class LocalRuns:
    """Runs the pipeline here, one folder a run."""

    state: Path
    """The governor's state folder; runs are kept in ``runs`` below it."""
    root: Path
    """Where the pipeline keeps artifacts, checkpoints and MLflow."""
    extra: Sequence[str] = ()
    """More options for ``python -m pipelines run``."""

    def find(self, key: str) -> Found | None:
        """Return what is known of the run of a key."""
        folder = self._folder(key)
        if not (folder / BEGAN).exists():
            return None
        ended = self._ended(folder)
        if ended is None and self._alive(folder):
            return Found(run_id=self._run_id(key), state="running")
        ended = ended or self._ended(folder)  # it may have ended between the two looks
        log = folder / OUTPUT
        if ended is None:
            return Found(run_id=self._run_id(key), state="failed", said=f"it was killed before its end; see {log}")
        if ended["code"] != 0:
            said = f"the pipeline ended with exit code {ended['code']}: {_last_words(log)} (all of it: {log})"
            return Found(run_id=self._run_id(key), state="failed", said=said)
        return self._succeeded(key, ended["result"], log)

    def start(self, key: str, arguments: Mapping[str, str]) -> str:
        """Start the run of a key, and return when it has begun."""
        folder = self._folder(key)
        given = [word for name, value in arguments.items() for word in ("-p", f"{name}={value}")]
        pipeline = [sys.executable, "-m", "pipelines", "run", "--root", str(self.root), *given, *self.extra]
        child = [sys.executable, "-m", "monitoring.governor.local_child", "--run", str(folder)]
        child += ["--guard", str(self.state / "lock"), "--result", str(self.root / "pipeline.json"), "--"]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / OUTPUT).open("ab") as output:
                # A session of its own: Ctrl-C at the governor must not end a training.
                process = subprocess.Popen(
                    [*child, *pipeline], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
                )
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
        deadline = time.monotonic() + BEGIN_TIMEOUT_S
        while not (folder / BEGAN).exists():
            if process.poll() not in {None, 0, 3}:
                raise RefusedError(f"the training did not begin; {folder / OUTPUT} says why")
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"the training has not begun after {BEGIN_TIMEOUT_S:.0f} s; see {folder / OUTPUT}"
                )
            time.sleep(0.05)
        return self._run_id(key)

    def _succeeded(self, key: str, result: Any, log: Path) -> Found:
        try:
            promoted, version = bool(result["promoted"]), str(result["version"])
            digest = Bundle.open(Path(result["evaluated"])).digest
        except (TypeError, KeyError, BundleError) as error:
            said = f"it ended well, but left no result to be read ({error!r}); see {log}"
            return Found(run_id=self._run_id(key), state="failed", said=said)
        return Found(
            run_id=self._run_id(key), state="succeeded", promoted=promoted, version=version, digest=digest
        )

    def _folder(self, key: str) -> Path:
        return self.state / "runs" / key

    def _run_id(self, key: str) -> str:
        return f"local-{key}"

    def _alive(self, folder: Path) -> bool:
        with (folder / LOCK).open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _ended(self, folder: Path) -> Any:
        try:
            return json.loads((folder / ENDED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def _last_words(log: Path) -> str:
    try:
        told = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "it left no log"
    return next((line.strip()[:300] for line in reversed(told) if line.strip()), "it said nothing")
