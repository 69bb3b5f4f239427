"""A KFP API that is slow, refuses or lies while the governor trains and people submit."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from htr.errors import QuillflowError
from monitoring.governor.events import Wish
from monitoring.governor.journal import read_journal
from monitoring.governor.kfp_runs import KfpRuns
from monitoring.governor.policy import Policy
from monitoring.kubeflow import KfpServer
from monitoring.kubeflow_access import Access
from pipelines import submitting
from pipelines.site import Site
from pipelines.submitting import submit
from tests.faults.fate import Fate
from tests.faults.lying import lying_proxy
from tests.faults.parts import faults
from tests.golden_pipelines import package
from tests.governor import SetLabels, SetRegistry, WorldClock, alert, make_governor
from tests.kfp_api import KfpApi, kfp_api

KINDS = ("refuse", "lie", "slow", "hang up", "cut", "short", "page")
"""Without a wrong byte: an answer of this API bears no digest, so only TLS keeps it as it was sent."""
PATIENCE_S = 1.0
POLICY = Policy(settle_s=1.0, min_lines=5, cooldown_hours=1.0, max_runs_day=50, max_runs_week=50, max_attempts=20)
_ENDED = {"SUCCEEDED", "FAILED", "CANCELED"}
MOST_TURNS = 400


def play_governor(folder: Path, rng: random.Random, fault: str) -> tuple[Fate, list[str]]:
    """Let an alarm and a wish lead to a training each; return what is wrong then."""
    fate = Fate(rng, fault, KINDS, within=12)
    yaml = folder / "package.yaml"
    yaml.write_text(package("training").text, encoding="utf-8")
    with kfp_api() as api, lying_proxy(api.url, fate, slow_s=PATIENCE_S * 1.5) as url:
        api.on_look = None
        story = _Story(folder, api, KfpRuns(host=url, package=yaml, timeout_s=PATIENCE_S))
        story.governor.take(alert("e1"))
        story.turns(2)
        story.labels.number = 5
        story.until_ended(1, fate)
        story.governor.take(Wish(id="once more"))
        story.until_ended(2, fate)
        return fate, [*fate.wrong, *story.wrong(folder)]


class _Story:
    def __init__(self, folder: Path, api: KfpApi, runs: KfpRuns) -> None:
        self.api, self.clock, self.labels = api, WorldClock(), SetLabels()
        self.registry = SetRegistry()
        self.governor = make_governor(
            folder / "state", runs, clock=self.clock, policy=POLICY, labels=self.labels, registry=self.registry,
            arguments={"lines": "x"},
        )  # fmt: skip
        self.state = folder / "state"

    def turns(self, number: int) -> None:
        for _ in range(number):
            self.clock.pass_by(600.0)
            self.governor.turn()

    def until_ended(self, number: int, fate: Fate) -> None:
        """Let time pass, and trainings end, until so many have ended well; late in the story in peace."""
        for turn in range(MOST_TURNS):
            fate.is_over = fate.is_over or turn > MOST_TURNS // 2
            self.turns(1)
            if turn % 4 == 3:
                for run in self.api.runs:
                    run["state"] = "SUCCEEDED" if run["state"] == "RUNNING" else run["state"]
            if self.governor.state.run is None and self._ended() >= number:
                return

    def _ended(self) -> int:
        return sum(record.event.KIND == "ended" for record in read_journal(self.state))

    def wrong(self, folder: Path) -> Iterator[str]:
        """Return what is wrong in the end."""
        self.turns(5)
        records = read_journal(self.state)
        decided = [record.decision.key for record in records if record.decision.choice == "train"]
        ended = [record.event.result for record in records if record.event.KIND == "ended"]
        begun = Counter(run["display_name"] for run in self.api.runs if run["state"] != "CANCELED")
        if len(ended) < 2:
            yield f"only {len(ended)} of 2 trainings ended: {[record.event.KIND for record in records]}"
        if len(decided) != len(set(decided)):
            yield f"decided on twice: {decided}"
        if doubled := [name for name, count in begun.items() if count > 1]:
            yield f"trained twice: {doubled}"
        if unknown := {name.removeprefix("quillflow-retrain-").rpartition("-")[0] for name in begun} - {
            key.rpartition("-")[0] for key in decided
        }:
            yield f"nobody decided on {unknown}"
        if forgotten := [run["display_name"] for run in self.api.runs if run["state"] not in _ENDED]:
            yield f"forgotten: {forgotten}"
        yield from faults(folder)


def play_submit(folder: Path, rng: random.Random, fault: str) -> tuple[Fate, list[str]]:
    """Submit by a command that is given again until it works, by two at once; return what is wrong then."""
    fate = Fate(rng, fault, KINDS, within=10)
    submitting.compiled = lambda pipeline, site, contents: package(pipeline)  # once, not every time
    with kfp_api() as api, lying_proxy(api.url, fate, slow_s=PATIENCE_S * 1.5) as url:
        server = KfpServer(Access(host=url, timeout_s=PATIENCE_S))

        def act() -> Any:
            return submit(
                server, Site(experiment="quillflow"), pipeline="training", arguments={"lines": "/data/lines"},
                commit="0123abc", sleep=lambda seconds: None,
            )  # fmt: skip

        try:
            run = fate.retried(act)
        except QuillflowError as error:
            return fate, [f"it does not recover: {error}"]
        again = fate.retried(act)
        live = [one for one in api.runs if one["state"] != "CANCELED"]
        wrong = [*fate.wrong]
        if [one["run_id"] for one in live] != [run.run_id] or again.run_id != run.run_id:
            wrong.append(f"runs {[one['run_id'] for one in live]}, told of {run.run_id} and {again.run_id}")
        for what in (api.pipelines, api.experiments):
            if len(what) != 1:
                wrong.append(f"{len(what)} of one: {what}")
        names = [one["display_name"] for one in api.versions]
        if len(names) != len(set(names)):
            wrong.append(f"a version twice: {names}")
        return fate, wrong
