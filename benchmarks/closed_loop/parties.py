"""Who takes part beside the server: the governor as a process of its own, and people who correct what it asks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.closed_loop.settings import Settings
from htr.errors import DataError, ServiceError
from htr.image_log import find_images
from htr.labelling import LabellingRequest
from htr.lines import Line
from pipelines.children import PROJECT
from serving.client import Client
from serving.web.requested import line_read

START_TIMEOUT_S = 60.0
AUTHOR = "somebody who knows the hand"


class GovernorProcess:
    """``python -m monitoring serve-governor`` on a free port; use as a context manager.

    Args:
        state: its state folder.
        options: more of its options.
        log: file for what it says.
    """

    def __init__(self, *, state: Path, options: Sequence[str | Path], log: Path) -> None:
        self.state = state
        self.url = ""
        self._log = log
        self._command = [
            sys.executable,
            "-m",
            "monitoring",
            "serve-governor",
            "--state",
            str(state),
            "--port",
            "0",
        ]
        self._command += map(str, options)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if name != "QUILLFLOW_GOVERNOR_TOKEN"}
        with self._log.open("w", encoding="utf-8") as out:
            self._process = subprocess.Popen(
                self._command, cwd=PROJECT, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.url:
            said = self._log.read_text(encoding="utf-8")
            found = re.search(r"^governor at (\S+)$", said, re.MULTILINE)
            if found:
                self.url = found[1]
            elif self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise ServiceError(f"the governor did not start: {said.strip() or 'it said nothing'}")
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None  # noqa: S101 - set on entry
        self._process.terminate()
        self._process.wait(timeout=30)
        for began in self.state.glob("runs/*/began.json"):  # a training outlives its governor; here it must not
            if not began.with_name("ended.json").exists():
                try:
                    os.killpg(json.loads(began.read_text(encoding="utf-8"))["pid"], signal.SIGTERM)
                except (ProcessLookupError, ValueError):
                    continue

    def known(self) -> dict[str, Any]:
        """Return what it knows now."""
        with urllib.request.urlopen(f"{self.url}/v1/state", timeout=30) as answer:  # noqa: S310 - loopback
            found: dict[str, Any] = json.load(answer)
            return found

    def tell(self, verdict: Mapping[str, Any], *, episode: str) -> dict[str, str]:
        """Tell an alert as Alertmanager tells it, and return what was decided.

        Args:
            verdict: the ``drift.json`` that raised it.
            episode: when it began to fire; said again, it is the same alert.
        """
        alert = {
            "status": "firing",
            "startsAt": episode,
            "labels": {"alertname": "HandwritingDrift", "bundle_digest": verdict["bundle_digest"]},
            "annotations": {"summary": f"{verdict['alert']['drifted_windows']} windows drifted"},
        }
        body = {"version": "4", "groupKey": "{}:{alertname=HandwritingDrift}", "alerts": [alert]}
        request = urllib.request.Request(  # noqa: S310 - loopback, address of our own
            f"{self.url}/v1/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            decided: dict[str, str] = json.load(answer)["decisions"][0]
            return decided

    def wait_until(
        self,
        done: Callable[[dict[str, Any]], bool],
        what: str,
        timeout_s: float,
        show: Callable[[str], None] = lambda line: None,
    ) -> dict[str, Any]:
        """Return what it knows as soon as something is so.

        Args:
            done: whether it is so, by what the governor knows.
            what: that is waited for, in words.
            timeout_s: seconds to wait for it.
            show: takes each line that a training says meanwhile.

        Raises:
            ServiceError: it does not come to be, or the governor is gone.
        """
        assert self._process is not None  # noqa: S101 - set on entry
        deadline = time.monotonic() + timeout_s
        said: dict[Path, int] = {}
        while not done(known := self.known()):
            for output in self.state.glob("runs/*/output.log"):
                for line in new_lines(output, said):
                    show(line)
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServiceError(f"waited in vain for {what}; it knows {known}, see {self._log}")
            time.sleep(0.5)
        return known


def new_lines(file: Path, read: dict[Path, int]) -> list[str]:
    """Return the whole lines that a file has beyond the bytes that were read of it, and count them as read."""
    with file.open("rb") as stream:
        stream.seek(read.get(file, 0))
        content = stream.read()
    whole = content[: content.rfind(b"\n") + 1]
    read[file] = read.get(file, 0) + len(whole)
    return whole.decode(errors="replace").splitlines()


def governor_options(
    story: Path, lines: Path, settings: Settings, *, tracking_uri: str, git_commit: str
) -> list[str | Path]:
    """Write the policy, and return the options that the governor of a telling is started with.

    Args:
        story: folder of the telling.
        lines: what every training gets beside the corrections.
        settings: of the telling.
        tracking_uri: MLflow's.
        git_commit: noted in the model.
    """
    policy = story / "policy.toml"
    policy.write_text(f"version = 1\nmin_lines = {settings.corrections}\n", encoding="utf-8")
    training = {
        **settings.retrain_settings,
        "max_lines": settings.retrain_budget,
        "seed": settings.seed,
    }
    given = {
        "lines": lines.resolve(),
        "tracking_uri": tracking_uri,
        "settings": json.dumps(training),
        "margin": settings.margin,
        "held_back": settings.held_back,
        "git_commit": git_commit,
    }
    options: list[str | Path] = [
        "--policy",
        policy,
        "--local-root",
        story / "retrain",
        "--tracking-uri",
        tracking_uri,
    ]
    options += ["--corrections-store", story / "corrections", "--log", story / "prediction-log"]
    options += ["--verdict", story / "check" / "drift.json", "--every-s", "1", "--registry-every-s", "2"]
    for name, value in given.items():
        options += ["-p", f"{name}={value}"]
    return options


def correct(
    request: LabellingRequest, *, log: Path, truths: Mapping[str, Line], client: Client, page: str
) -> list[Line]:
    """Correct every line that a request names, as people do: from its picture, through the server.

    Args:
        request: what the governor asks for.
        log: the prediction log, with an image log beside it.
        truths: digest of a line's image -> the line, which says what it reads.
        client: of the server that takes corrections.
        page: what a correction calls the page of a line that has none.

    Returns:
        The lines that were corrected.

    Raises:
        DataError: the image log lacks a line that is asked for, or it is none of ours.
    """
    images = find_images(log, [line.place for line in request.lines])
    corrected = []
    for asked in request.lines:
        logged = images.get(asked.place)
        line = truths.get(logged.image_digest) if logged else None
        if logged is None or line is None:
            raise DataError(
                f"{log}: request {asked.request_id}, line {asked.position}: no image of it, or not ours"
            )
        client.correct(
            line_read(logged), line.text, author=AUTHOR, chosen_by=asked.chosen_by, page=line.page or page
        )
        corrected.append(line)
    return corrected
