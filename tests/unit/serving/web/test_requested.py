"""What a governor asks for comes before people, from the image log, without anybody's hands."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from htr.errors import DataError, SettingsError
from htr.image_log import FOLDER, SCHEMA, LoggedImage, digest_of, find_images
from htr.labelling import LabellingRequest, RequestedLine, write_request
from serving.client import UnreachableError
from serving.web.desk import Desk, Session
from serving.web.queue import Queue
from serving.web.requested import TRIES, Requested
from serving.web.sources import Sources
from tests.conftest import line_png
from tests.fakes import NOON
from tests.unit.serving.web.desks import MemoryServer, seen_line

WHYS = {"uncertain": "reading", "control": "sample"}


def logged(number: int) -> LoggedImage:
    image = line_png(f"line number {number}", seed=number)
    return LoggedImage(
        time=NOON, request_id=f"r{number}", position=number % 2, model_version="7", confidence=0.5,
        bundle_digest="sha256:" + "b" * 64, text=f"lime {number}", image_digest=digest_of(image), image=image,
    )  # fmt: skip


def write_images(log: Path, numbers: range, name: str = "20260102T120000-1-0.parquet") -> None:
    (log / FOLDER).mkdir(parents=True, exist_ok=True)
    rows = [asdict(logged(number)) for number in numbers]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), log / FOLDER / name)


def ask(state: Path, record: int, **whys: str) -> None:
    lines = tuple(
        RequestedLine(request_id=name, position=int(name[1:]) % 2, why=why, chosen_by=WHYS[why])  # type: ignore[arg-type]
        for name, why in whys.items()
    )
    write_request(
        state, LabellingRequest(record=record, champion="", reason="drift", wanted=len(lines), lines=lines)
    )


@pytest.fixture
def world(tmp_path: Path) -> tuple[Requested, MemoryServer]:
    write_images(tmp_path / "log", range(6))
    (tmp_path / "state").mkdir()
    server = MemoryServer()
    queue = Queue(control_share=0.5, seed=0, clock=lambda: 0.0)
    return Requested(tmp_path / "state", tmp_path / "log", server, queue, lambda _: True), server  # type: ignore[arg-type]


def test_lines_that_are_asked_for_come_first_in_order_and_are_sent_as_the_request_says(
    world: tuple[Requested, MemoryServer],
) -> None:
    requested, server = world
    requested.queue.add([seen_line("from a folder", 0.0)])
    ask(requested.state_dir, 4, r3="uncertain", r1="control", r5="uncertain")
    requested.look()
    desk = Desk(client=server, clock=lambda: 0.0, source=Sources(requested.queue, [requested]))  # type: ignore[arg-type]
    session = desk.next_turn(Session())
    for _ in range(3):
        assert session.turn is not None
        key = "sha256:" + hashlib.sha256(session.turn.line.seen.image).hexdigest()
        session = desk.send_turn(session, "really", "Ada", meant=key)(session)
    assert [(one["old"], one["chosen_by"]) for one in server.kept] == [
        ("lime 3", "reading"),
        ("lime 1", "sample"),
        ("lime 5", "reading"),
    ]
    assert session.turn is not None
    assert session.turn.line.text == "from a folder"
    assert requested.state == ""


def test_what_was_corrected_already_is_left_out_but_for_a_sample_that_was_corrected_for_another_reason(
    world: tuple[Requested, MemoryServer],
) -> None:
    requested, server = world
    server.corrected, server.chosen_by = [logged(n).image_digest for n in (1, 3)], "reading"
    ask(requested.state_dir, 4, r3="uncertain", r1="control", r5="uncertain")
    requested.look()
    texts = [turn.line.text for turn in iter(requested.queue.take, None)]
    assert texts == ["lime 1", "lime 5"]


def test_a_newer_request_takes_the_place_of_an_older_one(world: tuple[Requested, MemoryServer]) -> None:
    requested, _ = world
    ask(requested.state_dir, 9, r3="uncertain")
    requested.look()
    ask(requested.state_dir, 10, r5="control")
    requested.look()
    turns = list(iter(requested.queue.take, None))
    assert [(turn.line.text, turn.why) for turn in turns] == [("lime 5", "control")]


def test_lines_that_the_image_log_gets_late_are_shown_and_those_that_never_come_are_counted(
    world: tuple[Requested, MemoryServer],
) -> None:
    requested, _ = world
    ask(requested.state_dir, 4, r3="uncertain", r7="uncertain", r9="control")
    requested.look()
    assert len(requested.queue) == 1
    assert requested.state == "2 of 3 lines that are asked for have no picture in the image log."
    write_images(requested.log, range(6, 8), "20260102T120100-1-1.parquet")
    for _ in range(TRIES):
        requested.look()
    assert len(requested.queue) == 2
    assert requested.state == "1 of 3 lines that are asked for have no picture in the image log."
    write_images(requested.log, range(8, 10), "20260102T120200-1-2.parquet")
    requested.look()
    assert len(requested.queue) == 2, "it is not looked for any more"


def test_what_fails_is_told_and_looked_at_again(world: tuple[Requested, MemoryServer]) -> None:
    requested, server = world
    ask(requested.state_dir, 4, r3="uncertain")
    server.fails = [UnreachableError("x: cannot be reached (y)")]
    requested.follow()
    assert "does not answer" in requested.state
    requested.follow()
    assert (len(requested.queue), requested.state) == (1, "")
    (requested.state_dir / "labelling" / "5.json").write_text("{")
    requested.follow()
    assert "5.json: not a labelling request" in requested.state


def test_without_a_request_nothing_is_shown_and_a_wrong_folder_is_refused(
    world: tuple[Requested, MemoryServer],
) -> None:
    requested, _ = world
    requested.look()
    assert len(requested.queue) == 0
    requested.check()
    requested.log = requested.log / "none"
    with pytest.raises(SettingsError, match=r"--log .*none: there is no such folder"):
        requested.check()


def test_of_an_image_log_only_what_is_named_is_found_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_images(tmp_path, range(4))
    found = find_images(tmp_path, [("r3", 1), ("r3", 0), ("r9", 1)])
    assert {place: one.text for place, one in found.items()} == {("r3", 1): "lime 3"}
    (tmp_path / FOLDER / "20260102T130000-1-0.parquet").write_bytes(b"torn")
    with pytest.raises(DataError, match="damaged log file"):
        find_images(tmp_path, [("r3", 1)])
