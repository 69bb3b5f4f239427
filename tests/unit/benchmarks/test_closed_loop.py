"""The closed loop's own parts: who corrects, what the bars are, and the figure. The rest are parts that serve."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.closed_loop.__main__ import bars, main
from benchmarks.closed_loop.figure import draw
from benchmarks.closed_loop.parties import AUTHOR, correct, new_lines
from benchmarks.closed_loop.settings import Settings
from benchmarks.closed_loop.story import NEW, OLD
from benchmarks.closed_loop.windows import Window
from htr.errors import DataError
from htr.image_log import FOLDER, SCHEMA, digest_of
from htr.labelling import LabellingRequest, RequestedLine
from tests.conftest import make_line
from tests.fakes import NOON
from tests.unit.serving.web.desks import MemoryServer


def told(*, old_after: float = 0.171, new_after: float = 0.2, **changes: Any) -> dict[str, Any]:
    """Return the facts of a telling that met every bar, but for what is changed."""
    settings = Settings(
        hand="box 7", seed=1, budget=10, base_settings={}, retrain_budget=5, retrain_settings={}, margin=0.02,
        held_back=0.4, corrections=4,
    )  # fmt: skip
    windows = [
        Window(
            hand=hand, version=version, lines=200, measured=cer, measured_interval=(cer - 0.02, cer + 0.02),
            state="drift" if hand == NEW else "quiet", estimated=cer, estimated_interval=(cer - 0.05, cer + 0.05),
            cannot_tell=why, alert=False,
        )
        for hand, version, cer, why in (
            (OLD, "1", 0.17, ""), (NEW, "1", 0.4, ""), (NEW, "1", 0.41, "unlike"), (NEW, "2", new_after, ""),
            (OLD, "2", old_after, ""),
        )
    ]  # fmt: skip
    return {
        "settings": asdict(settings),
        "alarm": {"alert": {"raised": True, "drifted_windows": 2, "windows": 3}},
        "request": {"lines": 4, "sample": 1, "decision": "ask_for_labels"},
        "trainings": 1,
        "ended": [{"key": "k", "result": "promoted", "said": ""}],
        "asked_again": [{"decision": "ignore"}] * 3,
        "gate": {"reason": "recent CER -20.0%"},
        "promoted": True,
        "version": "2",
        "old_hands": {"lines": 100, "before": 0.17, "after": old_after, "difference": old_after - 0.17},
        "new_hand": {"lines": 100, "before": 0.4, "after": new_after, "relative": new_after / 0.4 - 1},
        "windows": [asdict(window) for window in windows],
        "marks": {"alarm, lines asked for": 3, "corrected, training begins": 3, "promoted": 3},
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"new_after": 0.3}, ["new hand"]),
        ({"old_after": 0.18}, ["old hands"]),
        ({"trainings": 2}, ["one training"]),
        ({"asked_again": [{"decision": "wait"}]}, ["asked again 1 times"]),
        ({"promoted": False, "gate": None, "ended": []}, ["one training", "promoted"]),
    ],
)
def test_every_bar_can_be_missed(changes: dict[str, Any], missed: list[str]) -> None:
    assert [name.partition(":")[0] for name, met in bars(told(**changes)) if not met] == missed


def test_the_figure_is_drawn_from_the_facts_alone(tmp_path: Path) -> None:
    draw(json.loads(json.dumps(told())), tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes()[:4] == b"\x89PNG"


def test_lines_that_are_asked_for_are_corrected_from_the_image_log_by_what_they_say(tmp_path: Path) -> None:
    lines = [make_line(f"line {number}", number, page="p") for number in range(3)]
    rows = [
        {
            "time": NOON, "request_id": f"r{number}", "position": 0, "model_version": "1", "text": "read",
            "bundle_digest": "sha256:b", "confidence": 0.5, "image": line.image,
            "image_digest": digest_of(line.image),
        }
        for number, line in enumerate(lines)
    ]  # fmt: skip
    (tmp_path / FOLDER).mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / FOLDER / "20260102T120000-1-0.parquet")
    asked = (
        RequestedLine(request_id="r2", position=0, why="uncertain", chosen_by="reading"),
        RequestedLine(request_id="r0", position=0, why="control", chosen_by="sample"),
    )
    request = LabellingRequest(record=4, champion="", reason="drift", wanted=2, lines=asked)
    server = MemoryServer()
    given: dict[str, Any] = {"log": tmp_path, "client": CorrectingServer(server), "page": "box"}
    truths = {digest_of(line.image): line for line in lines}
    assert correct(request, truths=truths, **given) == [lines[2], lines[0]]
    assert [(one["new"], one["chosen_by"], one["author"]) for one in server.kept] == [
        ("line 2", "reading", AUTHOR),
        ("line 0", "sample", AUTHOR),
    ]
    with pytest.raises(DataError, match="request r2, line 0: no image of it, or not ours"):
        correct(request, truths={}, **given)


class CorrectingServer:
    """Gives every correction an id, as the client does by itself."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def correct(self, seen: Any, text: str, **said: Any) -> str:
        return self._server.correct(seen, text, correction_id=str(len(self._server.kept)), **said)


def test_without_lines_or_with_another_story_in_its_folder_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--root", str(tmp_path / "root")]) == 2
    assert "error: give a lines dataset with several sources: make drift-demo LINES=" in capsys.readouterr().err
    assert main([str(tmp_path / "none"), "--root", str(tmp_path / "root")]) == 2
    assert not (tmp_path / "root").exists()


def test_what_a_training_says_is_shown_once_and_by_whole_lines(tmp_path: Path) -> None:
    output, read = tmp_path / "output.log", dict[Path, int]()
    output.write_bytes("train: 1 of 2\nvalidé".encode()[:-1])
    assert new_lines(output, read) == ["train: 1 of 2"]
    assert new_lines(output, read) == []
    output.write_bytes("train: 1 of 2\nvalidé\nregister".encode())
    assert new_lines(output, read) == ["validé"]
