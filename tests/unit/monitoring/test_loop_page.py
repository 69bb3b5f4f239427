import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from htr.labelling import RequestedLine
from monitoring.__main__ import main
from monitoring.governor.events import Champion, Figures, Measured, Wish
from monitoring.governor.governor import Governor
from monitoring.governor.labelling import LabellingRequests
from monitoring.governor.policy import Policy
from monitoring.loop.page import trend
from monitoring.loop.timeline import bars, training_runs
from tests.fakes import NOON
from tests.governor import HOUR, FolderCluster, SetLabels, SetRegistry, WorldClock, alert, make_governor

POLICY = Policy(settle_s=1.0, min_lines=12, cooldown_hours=12.0)


class FallingRegistry(SetRegistry):
    """A registry whose champions were registered with an error rate."""

    def __init__(self) -> None:
        super().__init__()
        self.now = replace(self.now, cer=0.207)

    def promote(self, digest: str) -> None:
        super().promote(digest)
        self.now = replace(self.now, cer=0.164)

    def move_back(self, champion: Champion) -> tuple[bool, str]:
        told = super().move_back(champion)
        self.now = replace(self.now, cer=0.207)
        return told


@pytest.fixture
def told(tmp_path: Path) -> Governor:
    """Ten days: drift, lines, a rejected challenger, more lines, a champion, and its rollback."""
    clock, registry, labels = WorldClock(), FallingRegistry(), SetLabels()
    cluster = FolderCluster(tmp_path / "cluster", ["lost", "ok"])
    lines = [
        RequestedLine(request_id=f"r-{n}", position=n, why="uncertain", chosen_by="reading") for n in range(12)
    ]
    asker = LabellingRequests(state=tmp_path / "state", choose=lambda champion, wanted: lines[:wanted])
    governor = make_governor(
        tmp_path / "state", cluster, clock=clock, policy=POLICY, labels=labels, registry=registry, asker=asker
    )

    def hours(number: int) -> None:
        for _ in range(number):
            clock.pass_by(HOUR)
            governor.turn()

    hours(20)
    governor.take(alert("e1"))
    for count in (4, 9, 14):
        labels.number = count
        hours(9)
    cluster.end("succeeded")
    hours(30)
    labels.number = 31
    hours(6)
    cluster.end("succeeded", promoted=True, digest="B")
    registry.promote("B")
    hours(8)
    new, old = Figures(readings=900, doubt=0.19), Figures(readings=5000, doubt=0.11)
    governor.take(Measured(version="B", now=new, before=old))
    hours(30)
    governor.take(Wish(id="scan <2>", reason="x"))
    hours(1)
    governor.take(alert("e7", model="A"))
    hours(20)
    return governor


class Tags(HTMLParser):
    """Every tag of a page, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]


@pytest.mark.usefixtures("told")
def test_the_page_tells_the_story_and_asks_nobody_for_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.html").touch()
    words = ["page", "--state", str(tmp_path / "state"), "--out", str(tmp_path / "pages" / "loop.html")]
    words += ["--link", f"Report={tmp_path / 'report.html'}", "--run-url", "http://kfp/#/runs/{run_id}"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'pages' / 'loop.html'}\n"
    html = (tmp_path / "pages" / "loop.html").read_text()
    tags = Tags()
    tags.feed(html)
    assert not {"script", "link", "iframe", "img", "object"} & set(tags.tags)
    assert tags.links[-1] == "../report.html"
    assert "http://kfp/#/runs/run-1" in tags.links
    text = re.sub(r"\s+", " ", html)
    for said in (
        "version A",
        "Golden CER",
        "rejected",
        "promoted",
        "doubt 0.19 after 0.11",
        "a person asks, and",
        "found where an earlier start was never confirmed",
    ):
        assert said in text, said
    assert "<2>" not in html


def test_the_timeline_has_every_kind_of_bar_and_ends_what_ended(told: Governor, tmp_path: Path) -> None:
    from monitoring.governor.journal import read_journal

    records = read_journal(tmp_path / "state")
    drawn = [(bar.row, bar.label, bar.tone, bar.ended is None) for bar in bars(records)]
    assert ("champion", "version A", "plain", False) in drawn
    assert ("champion", "version B", "plain", False) in drawn
    assert ("champion", "rolled back", "bad", False) in drawn
    assert ("alarms", "HandwritingDrift", "warn", False) in drawn
    assert ("lines asked for", "12 lines", "plain", False) in drawn
    assert [bar.tone for bar in bars(records) if bar.row == "trainings"] == ["warn", "good", "plain"]
    third, second, first = training_runs(records)
    assert [run.result for run in (first, second, third)] == ["rejected", "promoted", ""]
    assert told.state.num_rollbacks == 1


def test_a_page_before_anything_happened_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    assert main(["page", "--state", str(tmp_path / "state"), "--out", str(tmp_path / "loop.html")]) == 0
    html = (tmp_path / "loop.html").read_text()
    assert "none yet" in html
    assert "Nobody is asked to correct lines now" in html


def test_a_state_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["page", "--state", str(tmp_path / "no"), "--out", str(tmp_path / "loop.html")]) == 2
    assert "no such state folder" in capsys.readouterr().err
    assert not (tmp_path / "loop.html").exists()


def test_error_rates_are_averaged_by_characters_over_a_span() -> None:
    points = [(NOON + timedelta(hours=hour), edits, 10) for hour, edits in ((0, 1), (1, 3), (30, 5))]
    assert trend(points, over=timedelta(hours=10)) == [
        (NOON + timedelta(hours=5), 0.2),
        (NOON + timedelta(hours=30), 0.5),
    ]
