"""Random histories on a governor with a real journal: whatever happens in whatever order, some things hold."""

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from monitoring.governor.events import Champion, Figures, Measured, Started, Wish
from monitoring.governor.governor import STOP
from monitoring.governor.journal import FILE, read_journal
from monitoring.governor.policy import Policy
from monitoring.governor.replay import explain, redecide
from monitoring.governor.state import DAY_S, WEEK_S, fold
from tests.governor import HOUR, FolderCluster, SetLabels, SetRegistry, WorldClock, alert, make_governor

EPISODES = st.sampled_from(["e1", "e2", "e3", "e4"])
MODELS = st.sampled_from(["A", "B", "C", ""])
NAMES = st.sampled_from(["HandwritingDrift", "MeasuredErrorHigh", "DiskFull"])
POLICIES = st.sampled_from(
    [
        Policy(settle_s=1.0, min_lines=6, min_lines_degraded=3),
        Policy(settle_s=1.0, min_lines=6, cooldown_hours=0.0, max_runs_day=1, max_runs_week=2),
        Policy(settle_s=1.0, policy="retrain_at_once", cooldown_hours=1.0, max_runs_day=3, give_up_hours=1.0),
    ]
)


class RandomEvents(RuleBasedStateMachine):
    @initialize(policy=POLICIES)
    def begin(self, policy: Policy) -> None:
        self.policy = policy
        self.temporary = tempfile.TemporaryDirectory()
        root = Path(self.temporary.name)
        self.folder = root / "state"
        self.cluster = FolderCluster(root / "cluster")
        self.clock, self.labels, self.registry = WorldClock(), SetLabels(), SetRegistry()
        self.told: set[str] = set()
        self.num_stopped_runs = 0
        self.restart()
        self.governor.turn()  # before the registry has answered once, no training is decided on

    def teardown(self) -> None:
        if hasattr(self, "temporary"):
            self.come_to_rest()
            self.temporary.cleanup()

    def come_to_rest(self) -> None:
        """With everybody answering again, no training stays half begun."""
        (self.folder / STOP).unlink(missing_ok=True)
        self.cluster.behave, self.cluster.looks_down = ["ok"], False
        for _ in range(4):
            self.clock.pass_by(700.0)
            self.governor.turn()
        run = self.governor.state.run
        assert run is None or run.run_id
        assert not self.governor.troubles
        records = read_journal(self.folder)
        assert not [one for one in explain(records) if one.differs], "the same rules decide the same"
        list(redecide(records, Policy(policy="retrain_at_once", max_runs_day=9)))  # whatever comes of it

    @rule()
    def restart(self) -> None:
        self.governor = make_governor(
            self.folder,
            self.cluster,
            clock=self.clock,
            policy=self.policy,
            labels=self.labels,
            registry=self.registry,
        )

    @rule(cut=st.integers(1, 200))
    def a_kill_leaves_a_line_half_written(self, cut: int) -> None:
        file = self.folder / FILE
        line = file.read_bytes().splitlines()[-1]
        with file.open("ab") as stream:
            stream.write(line[: min(cut, len(line) - 1)])
        self.restart()

    @rule(episode=EPISODES, name=NAMES, firing=st.booleans(), model=MODELS)
    def hear(self, episode: str, name: str, firing: bool, model: str) -> None:
        self.governor.take(alert(f"{name} {episode}", name=name, firing=firing, model=model))
        self.told.add(f"{'firing' if firing else 'ended'} {name} {episode}")

    @rule(number=st.integers(1, 4), by=st.sampled_from(["person", "schedule"]))
    def wish(self, number: int, by: str) -> None:
        self.governor.take(Wish(id=f"{by} {number}", by=by))  # type: ignore[arg-type]
        self.told.add(f"wish {by} {number}")

    @rule(seconds=st.sampled_from([1.0, 40.0, HOUR, 13 * HOUR, 3 * DAY_S]))
    def turn(self, seconds: float) -> None:
        self.clock.pass_by(seconds)
        before = len(self.cluster.runs())
        self.governor.turn()
        if self.governor.state.stopped:
            self.num_stopped_runs += len(self.cluster.runs()) - before

    @rule(days=st.sampled_from([-4000.0, -1.0, -0.01, 0.5, 30.0, 4000.0]))
    def set_the_wall_clock(self, days: float) -> None:
        self.clock.set_wall(timedelta(days=days))

    @rule(more=st.integers(-3, 8))
    def correct(self, more: int) -> None:
        self.labels.number = max(0, self.labels.number + more)

    @rule(behave=st.sampled_from(["ok", "ok", "lost", "lost", "down", "refuse"]), looks_down=st.booleans())
    def let_the_cluster(self, behave: str, looks_down: bool) -> None:
        self.cluster.behave, self.cluster.looks_down = [behave], looks_down and behave != "ok"

    @rule(state=st.sampled_from(["succeeded", "failed"]), digest=st.sampled_from(["", "B", "C"]))
    def end_the_run(self, state: str, digest: str) -> None:
        promoted = bool(digest) and state == "succeeded"
        if self.cluster.end(state, promoted=promoted, digest=digest) and promoted:
            self.registry.promote(digest)

    @rule(digest=st.sampled_from(["A", "B", "C"]))
    def promote_by_hand(self, digest: str) -> None:
        self.registry.promote(digest)

    @rule(version=st.sampled_from(["A", "B", "C"]), doubt=st.sampled_from([0.1, 0.4]))
    def measure(self, version: str, doubt: float) -> None:
        now, before = Figures(readings=900, doubt=doubt), Figures(readings=900, doubt=0.1)
        self.governor.take(Measured(version=version, now=now, before=before))

    @rule(on=st.booleans())
    def throw_the_switch(self, on: bool) -> None:
        if on:
            (self.folder / STOP).write_text("so")
        else:
            (self.folder / STOP).unlink(missing_ok=True)

    @invariant()
    def at_most_one_training_runs_and_each_key_once(self) -> None:
        if not hasattr(self, "cluster"):
            return
        runs = self.cluster.runs()
        assert sum(run["state"] == "running" for run in runs) <= 1
        assert len({run["key"] for run in runs}) == len(runs)
        assert self.num_stopped_runs == 0

    @invariant()
    def the_journal_is_whole_and_explains_every_run(self) -> None:
        if not hasattr(self, "cluster"):
            return
        records = read_journal(self.folder)
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        assert all(record.decision.reason for record in records)
        assert fold(records) == self.governor.state
        decided = [record.decision.key for record in records if record.decision.choice == "train"]
        assert len(set(decided)) == len(decided)
        assert {run["key"] for run in self.cluster.runs()} <= set(decided)
        begun = {r.event.run_id: r.event.key for r in records if isinstance(r.event, Started)}
        assert begun.items() <= {run["run_id"]: run["key"] for run in self.cluster.runs()}.items()

    @invariant()
    def nothing_that_was_told_is_lost(self) -> None:
        if not hasattr(self, "cluster"):
            return
        records = read_journal(self.folder)
        alerts = {
            f"{'firing' if e.firing else 'ended'} {e.episode}"
            for e in (r.event for r in records)
            if e.KIND == "alert"
        }
        wishes = {f"wish {r.event.id}" for r in records if r.event.KIND == "wish"}
        assert alerts | wishes == self.told

    @invariant()
    def every_promotion_is_taken_back_at_most_once_and_only_for_a_reason(self) -> None:
        if not hasattr(self, "cluster"):
            return
        records = read_journal(self.folder)
        decided = sum(record.decision.choice == "roll_back" for record in records)
        promoted = [r.event for r in records if isinstance(r.event, Champion) and r.event.previous]
        assert self.registry.num_moves <= decided <= len(promoted)

    @invariant()
    def no_budget_is_overdrawn(self) -> None:
        if not hasattr(self, "cluster"):
            return
        starts = [record.at for record in read_journal(self.folder) if record.decision.choice == "train"]
        for span, most in ((DAY_S, self.policy.max_runs_day), (WEEK_S, self.policy.max_runs_week)):
            for start in starts:
                assert sum(start <= other < start + span for other in starts) <= most


TestRandomEvents = pytest.mark.filterwarnings("ignore::ResourceWarning")(RandomEvents.TestCase)
TestRandomEvents.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
