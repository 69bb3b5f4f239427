"""The story, told by real parts: a server, its prediction log, drift checks, the governor, and one training.

ROOT/data/         the lines without the hand, and the hand's
ROOT/pipeline.json what the first training came to; kept, so that the story can be told again without it
ROOT/story/        one telling: logs, corrections, checks, the governor's state; made anew every time
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.closed_loop.parties import GovernorProcess, correct
from htr.errors import DataError
from htr.image_log import digest_of
from htr.labelling import read_request
from htr.lines import Line, LinesDataset
from htr.metrics import bootstrap_ratio, count_errors, paired_bootstrap
from monitoring.governor.events import Ended
from monitoring.governor.journal import read_journal
from pipelines.arrival import set_aside
from pipelines.children import run_told
from pipelines.local import default_tracking_uri, run_shown
from pipelines.loop import FIRST_CEILING, MODEL
from pipelines.server import ModelServer, Served, settled
from pipelines.summary import Screen
from serving.client import Client

OLD, NEW = "old hands", "new hand"
OLD_WINDOWS, NEW_WINDOWS = 1, 3
"""At most; fewer where there would not be LEAST_IN_WINDOW lines in each."""
LEAST_IN_WINDOW = 150
MOST_OLD_LINES = 300
"""Served before and after, to show what is said about them; both models read every test line in the evaluation."""
TRAINING_TIMEOUT_S = 4 * 3600.0
QUICK_S = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a telling is about."""

    hand: str
    """Source of the lines that arrive later."""
    seed: int
    budget: int
    """Lines shown in the first training."""
    base_settings: Mapping[str, Any]
    """More of its settings."""
    retrain_budget: int
    retrain_settings: Mapping[str, Any]
    margin: float
    """The gate's: CER by which the challenger may be worse on the old hands."""
    held_back: float
    """Share of the sampled corrections that only the gate sees."""
    corrections: int
    """Lines that are corrected before a training begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Lines that were served one after another, and what the check of them said."""

    hand: str
    version: str
    lines: int
    measured: float
    """CER by the true texts, which no check sees."""
    measured_interval: tuple[float, float]
    state: str
    estimated: float | None
    estimated_interval: tuple[float, float] | None
    cannot_tell: str
    """Why there is no estimate to go by; "" where there is."""
    alert: bool


@dataclass(kw_only=True)
class Story:
    """Tells it."""

    root: Path
    settings: Settings
    git_commit: str
    screen: Screen
    windows: list[Window] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    """What happened -> after how many windows."""

    def tell(self, lines: LinesDataset) -> dict[str, Any]:
        """Tell it, and return its facts.

        Raises:
            QuillflowError: something is wrong with the lines or the set-up.
        """
        first = self._first(lines)
        if not first["promoted"]:
            raise DataError(f"the first model was not promoted; see {first['page']}; a larger --budget helps")
        # Both splits, as in the reference: test lines alone are by other writers than it has on average.
        base = LinesDataset.open(self.root / "data" / "base")
        old = self._shuffled(line for line in base.lines() if line.split in {"val", "test"})[:MOST_OLD_LINES]
        new = self._shuffled(LinesDataset.open(self.root / "data" / "arriving").lines())
        story = self.root / "story"
        shutil.rmtree(story, ignore_errors=True)
        (story / "logs").mkdir(parents=True)
        shutil.copyfile(self.root / "mlflow.db", story / "mlflow.db")  # the first champion's, as it was then
        uri = default_tracking_uri(story)
        server = ModelServer(
            model=f"models:/{MODEL}@champion",
            tracking_uri=uri,
            root=story,
            extra=["--corrections", str(story / "corrections"), "--log-images", "1"],
        )
        governor = GovernorProcess(
            state=story / "governor", options=self._options(story, uri), log=story / "logs" / "governor.log"
        )
        self.screen.step("Serving the champion; the governor beside it")
        with server, governor:
            return self._told(story, server, governor, first, old, new)

    def _first(self, lines: LinesDataset) -> dict[str, Any]:
        base, arriving, done = (
            self.root / "data" / "base",
            self.root / "data" / "arriving",
            self.root / "pipeline.json",
        )
        about = {"lines": lines.digest, "hand": self.settings.hand, "seed": self.settings.seed}
        about |= {"budget": self.settings.budget, "settings": dict(self.settings.base_settings)}
        told = self.root / "about.json"
        if told.is_file() and json.loads(told.read_text(encoding="utf-8")) != about:
            raise DataError(f"{told}: another story was begun there; choose another --root, or remove that one")
        self.root.mkdir(parents=True, exist_ok=True)
        told.write_text(json.dumps(about, indent=2), encoding="utf-8")
        if not base.is_dir() or not arriving.is_dir():
            shutil.rmtree(self.root / "data", ignore_errors=True)  # half of it, after a kill
            set_aside(lines, base, arriving, source=self.settings.hand)
        if done.is_file():
            self.screen.step(f"The first training is there: {done}")
            outcome: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
            return outcome
        self.screen.step(f"Training on {len(LinesDataset.open(base)):,} lines, none of {self.settings.hand!r}")
        arguments = {
            "lines": str(base.resolve()),
            "tracking_uri": default_tracking_uri(self.root),
            "work": str(self.root.resolve() / "checkpoints"),
            "start": "",  # the model that ships may have seen the hand
            "settings": {
                **self.settings.base_settings,
                "max_lines": self.settings.budget,
                "seed": self.settings.seed,
            },
            "cer_ceiling": FIRST_CEILING,
            "git_commit": self.git_commit,
        }
        return run_shown(arguments, self.root, show=self.screen.note)

    def _options(self, story: Path, uri: str) -> list[str | Path]:
        policy = story / "policy.toml"
        policy.write_text(f"version = 1\nmin_lines = {self.settings.corrections}\n", encoding="utf-8")
        settings = {
            **self.settings.retrain_settings,
            "max_lines": self.settings.retrain_budget,
            "seed": self.settings.seed,
        }
        given = {
            "lines": self.root.resolve() / "data" / "base",
            "tracking_uri": uri,
            "settings": json.dumps(settings),
            "margin": self.settings.margin,
            "held_back": self.settings.held_back,
            "git_commit": self.git_commit,
        }
        options: list[str | Path] = ["--policy", policy, "--local-root", story / "retrain", "--tracking-uri", uri]
        options += ["--corrections-store", story / "corrections", "--log", story / "prediction-log"]
        options += ["--verdict", story / "check" / "drift.json", "--every-s", "1", "--registry-every-s", "2"]
        for name, value in given.items():
            options += ["-p", f"{name}={value}"]
        return options

    def _told(
        self,
        story: Path,
        server: ModelServer,
        governor: GovernorProcess,
        first: dict[str, Any],
        old: Sequence[Line],
        new: Sequence[Line],
    ) -> dict[str, Any]:
        bundle = Path(first["evaluated"])
        known = governor.wait_until(lambda now: now["champion"] is not None, "the champion", QUICK_S)
        self.screen.step(f"{len(old)} held-out lines of the hands that it knows")
        self._serve(story, server, bundle, OLD, old, OLD_WINDOWS)
        quiet = governor.known()["records"]

        self.screen.step(f"Another hand arrives: {len(new)} lines of {self.settings.hand!r}")
        asked: dict[str, Any] = {}

        def on_window(verdict: Mapping[str, Any]) -> None:
            if verdict["alert"]["raised"] and not asked:
                asked.update(self._ask(governor, verdict))

        new_before = self._serve(story, server, bundle, NEW, new, NEW_WINDOWS, on_window=on_window)
        if not asked:
            raise DataError(f"no alert over {len(new)} lines of the new hand; nothing follows. See {story}")
        request = read_request(governor.state, asked["record"])
        assert request is not None  # noqa: S101 - waited for
        self.screen.step(f"{len(request.lines)} lines are corrected: {request.reason}")
        truths = {digest_of(line.image): line for line in new}
        corrected = correct(
            request,
            log=story / "prediction-log",
            truths=truths,
            client=Client(server.url),
            page=self.settings.hand,
        )
        governor.wait_until(lambda now: now["run"] is not None, "the training", QUICK_S)
        self.marks["corrected, training begins"] = len(self.windows)
        self.screen.step("One training; the alert is said again meanwhile")
        again = [governor.tell(asked["verdict"], episode=asked["episode"])]
        governor.wait_until(lambda now: now["run"] is None, "the end of the training", TRAINING_TIMEOUT_S)
        old_champion = known["champion"]["digest"]
        if _results(story) == ["promoted"]:  # the registry is asked after the end is written down
            governor.wait_until(lambda now: now["champion"]["digest"] != old_champion, "the new champion", QUICK_S)
        champion = governor.known()["champion"]
        again.append(governor.tell(asked["verdict"], episode=asked["episode"]))
        again.append(governor.tell(asked["verdict"], episode=datetime.now(UTC).isoformat()))
        facts = self._facts(story, first, known, asked, request.lines, again)
        if champion["digest"] == old_champion:
            return facts | {"promoted": False}
        server.wait_for(champion["version"], old[0])
        self.marks["promoted"] = len(self.windows)

        self.screen.step(f"Version {champion['version']} reads the same lines, but those that were corrected")
        bundle = Path(json.loads((story / "retrain" / "pipeline.json").read_text(encoding="utf-8"))["evaluated"])
        learnt = {digest_of(line.image) for line in corrected}  # by the picture: some lines are there twice
        rest = [line for line in new if digest_of(line.image) not in learnt]
        new_after = self._serve(story, server, bundle, NEW, rest, NEW_WINDOWS)
        self._serve(story, server, bundle, OLD, old, OLD_WINDOWS)
        return facts | {
            "promoted": True,
            "version": champion["version"],
            "old_hands": _golden(story),
            "new_hand": _compared(new_before, new_after),
            "records_before_the_hand_came": quiet,
            "windows": [asdict(window) for window in self.windows],
            "marks": self.marks,
        }

    def _ask(self, governor: GovernorProcess, verdict: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the governor of the alert, and return the labelling request that it answers with."""
        self.marks["alarm, lines asked for"] = len(self.windows)
        episode = str(verdict["until"])
        decided = governor.tell(verdict, episode=episode)
        self.screen.note(f"{decided['decision']}: {decided['reason']}")
        if decided["decision"] != "ask_for_labels":
            raise DataError(f"expected that lines are asked for, got {decided}")
        record = int(governor.known()["labelling"]["seq"])
        governor.wait_until(lambda _: read_request(governor.state, record) is not None, "the request", QUICK_S)
        return {"record": record, "episode": episode, "verdict": dict(verdict), "decided": decided}

    def _serve(
        self,
        story: Path,
        server: ModelServer,
        bundle: Path,
        hand: str,
        lines: Sequence[Line],
        most_windows: int,
        *,
        on_window: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> list[Served]:
        """Have lines read window by window, each checked for drift as soon as it is logged."""
        served: list[Served] = []
        num_windows = max(1, min(most_windows, len(lines) // LEAST_IN_WINDOW))
        for part in np.array_split(np.arange(len(lines)), num_windows):
            since = datetime.now(UTC)
            read = server.read([lines[at] for at in part])
            settled(story / "prediction-log", server.num_read)
            words: list[str | Path] = [
                "monitoring",
                "check",
                "--bundle",
                bundle,
                "--log",
                story / "prediction-log",
            ]
            words += ["--out", story / "check", "--since", since.isoformat(), "--independent-lines"]
            words += ["--history", story / "windows.jsonl"]
            run_told(words, lambda _: None)
            verdict = json.loads((story / "check" / "drift.json").read_text(encoding="utf-8"))
            window = _window(hand, read, verdict)
            self.windows.append(window)
            self.screen.note(_in_words(window))
            served += read
            on_window(verdict)
        return served

    def _facts(
        self,
        story: Path,
        first: Mapping[str, Any],
        known: Mapping[str, Any],
        asked: Mapping[str, Any],
        lines: Sequence[Any],
        again: Sequence[Mapping[str, str]],
    ) -> dict[str, Any]:
        records = read_journal(story / "governor")
        result = story / "retrain" / "pipeline.json"
        second = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else None
        return {
            "format_version": 1,
            "settings": asdict(self.settings),
            "git_commit": self.git_commit,
            "first_version": known["champion"]["version"],
            "alarm": {name: asked["verdict"][name] for name in ("state", "rows", "p_value", "alert")}
            | {"features": [one["name"] for one in asked["verdict"]["features"] if one["drifted"]][:6]},
            "request": {
                **asked["decided"],
                "lines": len(lines),
                "sample": sum(one.why == "control" for one in lines),
            },
            "trainings": sum(record.decision.choice == "train" for record in records),
            "ended": [asdict(record.event) for record in records if isinstance(record.event, Ended)],
            "asked_again": list(again),
            "gate": json.loads(Path(second["decision"]).read_text(encoding="utf-8")) if second else None,
        }

    def _shuffled(self, lines: Iterable[Line]) -> list[Line]:
        found = list(lines)
        return [found[at] for at in np.random.default_rng(self.settings.seed).permutation(len(found))]


def _results(story: Path) -> list[str]:
    """Return what came of the governor's trainings."""
    events = [record.event for record in read_journal(story / "governor")]
    return [event.result for event in events if isinstance(event, Ended)]


def _window(hand: str, read: Sequence[Served], verdict: Mapping[str, Any]) -> Window:
    errors = [count_errors(one.line.text, one.text) for one in read]
    edits, characters = [one.edits for one in errors], [one.characters for one in errors]
    estimated = verdict["estimated"]
    return Window(
        hand=hand,
        version=read[-1].model_version,
        lines=len(read),
        measured=sum(edits) / sum(characters),
        measured_interval=bootstrap_ratio(edits, characters),
        state=verdict["state"],
        estimated=estimated["cer"] if estimated else None,
        estimated_interval=tuple(estimated["interval"]) if estimated else None,
        cannot_tell=estimated.get("cannot_tell", "") if estimated else "no estimate",
        alert=bool(verdict["alert"] and verdict["alert"]["raised"]),
    )


def _in_words(window: Window) -> str:
    told = f"estimated {window.estimated:.1%}" if window.estimated is not None else "no estimate"
    if window.cannot_tell:
        told += f" (cannot tell: {window.cannot_tell})"
    alert = ", ALERT" if window.alert else ""
    return (
        f"{window.lines} lines of {window.hand}, version {window.version}: {window.state}{alert}, {told}, "
        f"measured {window.measured:.1%}"
    )


def _golden(story: Path) -> dict[str, Any]:
    """Return CERs of both models on the old hands' test lines, as the pipeline evaluated them."""
    outcome = json.loads((story / "retrain" / "pipeline.json").read_text(encoding="utf-8"))
    report = json.loads(Path(outcome["report"]).read_text(encoding="utf-8"))
    lines = [line for line in report["lines"] if line["split"] == "test"]
    return _difference(*([line[name] for line in lines] for name in ("champion_edits", "edits", "characters")))


def _compared(before: Sequence[Served], after: Sequence[Served]) -> dict[str, Any]:
    """Return CERs of the lines that were read after, before and after, and the paired difference."""
    later = {one.line.id: one for one in after}
    before = [one for one in before if one.line.id in later]
    counts = [
        (count_errors(one.line.text, one.text), count_errors(one.line.text, later[one.line.id].text))
        for one in before
    ]
    return _difference(
        [first.edits for first, _ in counts],
        [second.edits for _, second in counts],
        [first.characters for first, _ in counts],
    )


def _difference(was: Sequence[int], now: Sequence[int], characters: Sequence[int]) -> dict[str, Any]:
    difference, low, high = paired_bootstrap(now, was, characters)
    before = sum(was) / sum(characters)
    return {
        "lines": len(characters),
        "before": before,
        "after": sum(now) / sum(characters),
        "difference": difference,
        "interval": (low, high),
        "relative": difference / before,
    }
