"""The story, told by real parts: a server, its prediction log, drift checks, the governor, and one training.

ROOT/data/         the lines without the hand, and the hand's
ROOT/pipeline.json what the first training came to; kept, so that the story can be told again without it
ROOT/story/        one telling: logs, corrections, checks, the governor's state; made anew every time
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.closed_loop.first_model import first_model
from benchmarks.closed_loop.parties import GovernorProcess, correct, governor_options
from benchmarks.closed_loop.service import Service
from benchmarks.closed_loop.settings import Settings
from benchmarks.closed_loop.windows import compared, golden
from htr.errors import DataError
from htr.image_log import digest_of
from htr.labelling import read_request
from htr.lines import Line, LinesDataset
from monitoring.governor.events import Ended
from monitoring.governor.journal import read_journal
from pipelines.local import default_tracking_uri
from pipelines.loop import MODEL
from pipelines.server import ModelServer
from pipelines.summary import Screen
from serving.client import Client

OLD, NEW = "old hands", "new hand"
OLD_WINDOWS, NEW_WINDOWS = 1, 3
MOST_OLD_LINES = 300
"""Served before and after, to show what is said about them; both models read every test line in the evaluation."""
TRAINING_TIMEOUT_S = 4 * 3600.0
QUICK_S = 120.0


@dataclass(kw_only=True)
class Story:
    """Tells it."""

    root: Path
    settings: Settings
    git_commit: str
    screen: Screen
    marks: dict[str, int] = field(default_factory=dict)
    """What happened -> after how many windows."""

    def tell(self, lines: LinesDataset) -> dict[str, Any]:
        """Tell it, and return its facts.

        Raises:
            QuillflowError: something is wrong with the lines or the set-up.
        """
        first = first_model(lines, self.root, self.settings, git_commit=self.git_commit, screen=self.screen)
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
            state=story / "governor",
            options=governor_options(
                story, base.path, self.settings, tracking_uri=uri, git_commit=self.git_commit
            ),
            log=story / "logs" / "governor.log",
        )
        self.screen.step("Serving the champion; the governor beside it")
        with server, governor:
            service = Service(server=server, folder=story, screen=self.screen)
            return self._told(service, governor, first, old, new)

    def _told(
        self,
        service: Service,
        governor: GovernorProcess,
        first: dict[str, Any],
        old: Sequence[Line],
        new: Sequence[Line],
    ) -> dict[str, Any]:
        story, server, bundle = service.folder, service.server, Path(first["evaluated"])
        known = governor.wait_until(lambda now: now["champion"] is not None, "the champion", QUICK_S)
        self.screen.step(f"{len(old)} held-out lines of the hands that it knows")
        service.serve(OLD, old, bundle=bundle, most_windows=OLD_WINDOWS)
        quiet = governor.known()["records"]

        self.screen.step(f"Another hand arrives: {len(new)} lines of {self.settings.hand!r}")
        asked: dict[str, Any] = {}

        def on_window(verdict: Mapping[str, Any]) -> None:
            if verdict["alert"]["raised"] and not asked:
                self.marks["alarm, lines asked for"] = len(service.windows)
                asked.update(self._ask(governor, verdict))

        new_before = service.serve(NEW, new, bundle=bundle, most_windows=NEW_WINDOWS, on_window=on_window)
        if not asked:
            raise DataError(f"no alert over {len(new)} lines of the new hand; nothing follows. See {story}")
        request = read_request(governor.state, asked["record"])
        assert request is not None  # noqa: S101 - waited for
        self.screen.step(f"{len(request.lines)} lines are corrected: {request.reason}")
        truths = {digest_of(line.image): line for line in new}
        corrected = correct(
            request,
            log=service.log,
            truths=truths,
            client=Client(server.url),
            page=self.settings.hand,
        )
        governor.wait_until(lambda now: now["run"] is not None, "the training", QUICK_S)
        self.marks["corrected, training begins"] = len(service.windows)
        self.screen.step("One training; the alert is said again meanwhile")
        again = [governor.tell(asked["verdict"], episode=asked["episode"])]
        governor.wait_until(
            lambda now: now["run"] is None, "the end of the training", TRAINING_TIMEOUT_S, show=self.screen.note
        )
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
        self.marks["promoted"] = len(service.windows)

        self.screen.step(f"Version {champion['version']} reads the same lines, but those that were corrected")
        bundle = Path(json.loads((story / "retrain" / "pipeline.json").read_text(encoding="utf-8"))["evaluated"])
        learnt = {digest_of(line.image) for line in corrected}  # by the picture: some lines are there twice
        rest = [line for line in new if digest_of(line.image) not in learnt]
        new_after = service.serve(NEW, rest, bundle=bundle, most_windows=NEW_WINDOWS)
        service.serve(OLD, old, bundle=bundle, most_windows=OLD_WINDOWS)
        return facts | {
            "promoted": True,
            "version": champion["version"],
            "old_hands": golden(story),
            "new_hand": compared(new_before, new_after),
            "records_before_the_hand_came": quiet,
            "windows": [asdict(window) for window in service.windows],
            "marks": self.marks,
        }

    def _ask(self, governor: GovernorProcess, verdict: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the governor of the alert, and return the labelling request that it answers with."""
        episode = str(verdict["until"])
        decided = governor.tell(verdict, episode=episode)
        self.screen.note(f"{decided['decision']}: {decided['reason']}")
        if decided["decision"] != "ask_for_labels":
            raise DataError(f"expected that lines are asked for, got {decided}")
        record = int(governor.known()["labelling"]["seq"])
        governor.wait_until(lambda _: read_request(governor.state, record) is not None, "the request", QUICK_S)
        return {"record": record, "episode": episode, "verdict": dict(verdict), "decided": decided}

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
