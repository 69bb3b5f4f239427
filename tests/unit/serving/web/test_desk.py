"""A person's doings, without a browser, by a server in memory."""

from pathlib import Path

import pytest

from htr.errors import DataError
from serving.client import UnreachableError
from serving.web import desk as desk_module
from serving.web.desk import Desk, Session
from serving.web.folder import Folder
from serving.web.open_page import OpenPage
from serving.web.queue import Queue, key_of
from serving.web.reader import Reader
from tests.conftest import line_png
from tests.unit.serving.web.desks import MemoryServer


def desk_of(server: MemoryServer, folder: Path | None = None) -> Desk:
    clock = lambda: 0.0  # noqa: E731
    found = None
    if folder:
        queue = Queue(control_share=0.5, seed=0, clock=clock)
        found = Folder(folder, Reader(server), queue, 0, lambda _: True)  # type: ignore[arg-type]
        found.read()
    return Desk(client=server, clock=clock, source=found)  # type: ignore[arg-type]


def read(desk: Desk, folder: Path, *texts: str) -> Session:
    session = Session()
    for number, text in enumerate(texts):
        path = folder / f"{text}.png"
        path.write_bytes(line_png(text, seed=number))
        session = desk.read_file(session, path)(session)
    return session


def shown(session: Session) -> str:
    assert session.work.line
    return key_of(session.work.line)


def test_a_correction_says_who_what_and_why(tmp_path: Path) -> None:
    server = MemoryServer()
    desk = desk_of(server)
    session = read(desk, tmp_path, "a long line of writing")
    after = desk.send(session, "  what it   says ", " Ada ", meant=shown(session))(session)
    (kept,) = server.kept
    assert (kept["old"], kept["new"], kept["author"], kept["chosen_by"]) == (
        "line 1",
        "what it says",
        "Ada",
        "reading",
    )
    assert kept["page"].startswith("a long line of writing.png ")
    assert after.work.said(0, 0) == "what it says"
    assert after.own == ()


@pytest.mark.parametrize(
    ("text", "author", "meant", "reason"),
    [
        ("x", " ", "", "your name"),
        (" ", "Ada", "", "what the line says"),
        ("x", "Ada", "sha256:other", "had changed"),
    ],
)
def test_what_is_not_whole_or_not_meant_is_not_sent(
    tmp_path: Path, text: str, author: str, meant: str, reason: str
) -> None:
    server = MemoryServer()
    desk = desk_of(server)
    session = read(desk, tmp_path, "a long line of writing")
    with pytest.raises(DataError, match=reason):
        desk.send(session, text, author, meant=meant or shown(session))
    with pytest.raises(DataError, match="no line"):
        desk.send(Session(), "x", "Ada", meant="")
    assert server.kept == []


def test_a_server_that_is_away_leaves_everything_as_it_was(tmp_path: Path) -> None:
    server = MemoryServer()
    desk = desk_of(server)
    session = read(desk, tmp_path, "a long line of writing")
    server.fails = [UnreachableError("x: cannot be reached (y)")]
    with pytest.raises(UnreachableError):
        desk.send(session, "x", "Ada", meant=shown(session))
    assert len(session.own) == 1
    assert session.work.sent == {}


def test_what_was_read_here_waits_the_most_doubtful_first_and_is_never_a_sample(tmp_path: Path) -> None:
    server = MemoryServer(confidences=[0.9, 0.2, 0.6])
    desk = desk_of(server)
    session = desk.next_turn(read(desk, tmp_path, "the first of them", "the second one", "the third one here"))
    assert desk.waiting(session) == 3
    seen = []
    while session.turn:
        seen.append(session.turn.line.confidence)
        session = desk.send_turn(session, "right", "Ada", meant=key_of(session.turn.line))(session)
    assert seen[0] == 0.2
    assert sorted(seen) == [0.2, 0.6, 0.9]
    assert {one["chosen_by"] for one in server.kept} == {"reading"}
    assert desk.waiting(session) == 0


def test_one_can_leave_a_line_and_go_back_and_what_was_sent_is_shown(tmp_path: Path) -> None:
    desk = desk_of(MemoryServer())
    first = desk.next_turn(read(desk, tmp_path, "the first of them", "the second one"))
    assert first.turn
    second = desk.send_turn(first, "corrected", "Ada", meant=key_of(first.turn.line))(first)
    back = desk.last_turn(second)
    assert back.turn == first.turn
    assert back.said(first.turn.line) == "corrected"
    assert desk.next_turn(back).turn == second.turn


def test_lines_of_the_folder_come_first_and_controls_are_sent_as_a_sample(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(line_png(f"line number {number}", seed=number))
    server = MemoryServer()
    desk = desk_of(server, tmp_path)
    session = desk.next_turn(Session())
    whys = []
    while session.turn:
        whys.append(session.turn.why)
        session = desk.send_turn(session, "right", "Ada", meant=key_of(session.turn.line))(session)
    assert len(whys) == 12
    sent = ["sample" if why == "control" else "reading" for why in whys]
    assert [one["chosen_by"] for one in server.kept] == sent
    assert {"sample", "reading"} == set(sent)


def test_no_more_of_it_is_kept_than_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "MAX_OWN", 2)
    desk = desk_of(MemoryServer())
    session = read(desk, tmp_path, "the first of them", "the second one", "the third one here")
    assert [line.text for line in session.own] == ["line 2", "line 3"]
    monkeypatch.setattr(desk_module, "MAX_BYTES", 1)
    assert [line.text for line in read(desk, tmp_path, "the first of them", "the second one").own] == ["line 5"]


def test_a_line_that_was_corrected_is_not_asked_for_when_it_is_read_again(tmp_path: Path) -> None:
    desk = desk_of(MemoryServer())
    session = read(desk, tmp_path, "a long line of writing")
    session = desk.send(session, "right", "Ada", meant=shown(session))(session)
    again = desk.read_file(session, tmp_path / "a long line of writing.png")(session)
    assert again.own == ()
    assert again.work.said(0, 0) == "right"


def test_what_is_corrected_in_the_queue_is_in_the_files_to_take_away(tmp_path: Path) -> None:
    desk = desk_of(MemoryServer())
    session = desk.next_turn(read(desk, tmp_path, "a long line of writing"))
    assert session.turn
    after = desk.send_turn(session, "right", "Ada", meant=key_of(session.turn.line))(session)
    assert after.work.page_reading(0).text == "right"


def test_a_slow_reading_undoes_nothing_that_was_done_meanwhile(tmp_path: Path) -> None:
    desk, page = desk_of(MemoryServer()), OpenPage()
    for text in ("the first of them", "the second one"):
        (tmp_path / f"{text}.png").write_bytes(line_png(text))
    page.change(desk.read_file(page.session, tmp_path / "the first of them.png"))
    slow = desk.read_file(page.change(desk.begin), tmp_path / "the second one.png")
    page.change(desk.next_turn)
    page.change(desk.send(page.session, "right", "Ada", meant=shown(page.session)))
    page.change(slow)
    assert [sent.text for sent in page.session.sent.values()] == ["right"]
    assert page.session.turn
    assert page.session.work.name == "the second one.png"
    assert [line.text for line in page.session.own] == ["line 2"]


def test_of_two_readings_the_one_that_was_begun_last_is_shown(tmp_path: Path) -> None:
    desk, page = desk_of(MemoryServer()), OpenPage()
    changes = []
    for text in ("the first of them", "the second one"):
        (tmp_path / f"{text}.png").write_bytes(line_png(text))
        changes.append(desk.read_file(page.change(desk.begin), tmp_path / f"{text}.png"))
    for change in reversed(changes):
        page.change(change)
    assert page.session.work.name == "the second one.png"
    assert len(page.session.own) == 2


def test_a_correction_that_is_stored_late_leaves_the_place_that_was_gone_on_to(tmp_path: Path) -> None:
    desk = desk_of(MemoryServer())
    session = desk.next_turn(read(desk, tmp_path, "the first of them", "the second one"))
    assert session.turn
    change = desk.send_turn(session, "right", "Ada", meant=key_of(session.turn.line))
    gone_on = desk.next_turn(session)
    after = change(gone_on)
    assert after.turn is gone_on.turn
    assert after.said(session.turn.line) == "right"


def test_a_correction_that_is_sent_again_has_the_same_id_and_a_change_another_one(tmp_path: Path) -> None:
    server = MemoryServer()
    desk = desk_of(server)
    session = read(desk, tmp_path, "a long line of writing")
    desk.send(session, "one", "Ada", meant=shown(session))  # stored, but no answer comes back
    for text in ("one", "one", "two", "one", "two"):
        session = desk.send(session, text, "Ada", meant=shown(session))(session)
    desk.send(session, "two", "Bo", meant=shown(session))
    ids = [one["correction_id"] for one in server.kept]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids)) == 5
    other = read(desk, tmp_path, "a long line of writing")
    desk.send(other, "one", "Ada", meant=shown(other))
    assert server.kept[-1]["correction_id"] not in ids


def test_a_control_of_the_folder_that_somebody_came_upon_by_himself_stays_in_the_sample(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(line_png(f"line number {number}", seed=number))
    server = MemoryServer()
    desk = desk_of(server, tmp_path)
    session = Session()
    for number in range(12):
        session = desk.read_file(session, tmp_path / f"{number}.png")(session)
        session = desk.send(session, "by myself", "Ada", meant=shown(session))(session)
    assert desk.source
    num_controls = len(desk.source.queue)
    assert 0 < num_controls < 12
    session = desk.next_turn(session)
    while session.turn:
        assert session.turn.why == "control"
        session = desk.send_turn(session, "right", "Ada", meant=key_of(session.turn.line))(session)
    assert [one["chosen_by"] for one in server.kept[12:]] == ["sample"] * num_controls
    assert len(desk.source.queue) == 0
