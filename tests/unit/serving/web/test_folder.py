"""A folder becomes a queue, whatever lies in it and however the server is."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from htr.errors import SettingsError
from serving.client import RefusedError, StrangeAnswerError, UnreachableError
from serving.client_wire import TIMED_OUT
from serving.web import folder as folder_module
from serving.web.folder import Folder
from serving.web.queue import Queue
from serving.web.reader import Reader
from tests.conftest import line_png
from tests.unit.serving.web.desks import MemoryServer


def folder_of(path: Path, server: MemoryServer, *, seed: int = 0, stop: bool = False) -> Folder:
    queue = Queue(control_share=0.1, seed=seed, clock=lambda: 0.0)
    return Folder(path, Reader(server), queue, seed, lambda _: stop)  # type: ignore[arg-type]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    (tmp_path / "box 1").mkdir()
    for number in range(6):
        (tmp_path / "box 1" / f"{number}.PNG").write_bytes(line_png(f"line number {number}", seed=number))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_every_line_waits_and_other_files_are_let_be(lines: Path) -> None:
    folder = folder_of(lines, MemoryServer())
    folder.read()
    assert (len(folder.queue), folder.state) == (6, "")


def test_the_seed_draws_the_order(lines: Path) -> None:
    orders = [folder_of(lines, MemoryServer(), seed=seed).files() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_lines_that_were_corrected_already_are_left_out(lines: Path) -> None:
    images = [path.read_bytes() for path in (lines / "box 1").iterdir()]
    server = MemoryServer(corrected=["sha256:" + hashlib.sha256(image).hexdigest() for image in images[:2]])
    folder = folder_of(lines, server)
    folder.read()
    assert len(folder.queue) == 4


def test_files_that_cannot_be_read_are_counted(lines: Path) -> None:
    (lines / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    folder = folder_of(lines, MemoryServer())
    folder.read()
    assert len(folder.queue) == 6
    assert folder.state == "1 files of the folder could not be read."


def test_a_server_that_is_away_is_waited_for(lines: Path) -> None:
    away = UnreachableError("x: cannot be reached (y)")
    folder = folder_of(lines, MemoryServer(fails=[away, away]))
    folder.read()
    assert len(folder.queue) == 6


def test_a_file_that_takes_the_server_too_long_is_left_out_and_a_busy_server_waited_for(lines: Path) -> None:
    slow = [UnreachableError("x: not answered within 30 s", 1.0, "too_slow")] * folder_module.SLOW_TRIES
    busy = [UnreachableError("x: 9 requests wait", 1.0, "busy")] * 5
    server = MemoryServer()
    folder = folder_of(lines, server)
    server.corrections = lambda **_: ([], 0)  # type: ignore[method-assign]
    server.fails = [*slow, *busy]
    folder.read()
    assert folder.state == "1 files of the folder could not be read."
    assert len(folder.queue) == server.num_read == 5


def test_a_file_that_outlasts_the_pages_patience_is_left_out_if_the_server_answers_otherwise(lines: Path) -> None:
    silent = [UnreachableError("x: cannot be reached (timed out)", code=TIMED_OUT)] * folder_module.SLOW_TRIES
    server = MemoryServer()
    folder = folder_of(lines, server)
    server.corrections = lambda **_: ([], 0)  # type: ignore[method-assign]
    server.fails = list(silent)
    folder.read()
    assert folder.state == "1 files of the folder could not be read."
    assert len(folder.queue) == server.num_read == 5


def test_a_server_that_is_silent_to_everything_is_waited_for(lines: Path) -> None:
    silent = UnreachableError("x: cannot be reached (timed out)", code=TIMED_OUT)
    folder = folder_of(lines, MemoryServer(fails=[silent] * 20))  # the corrections, too, are asked in vain
    folder.read()
    assert (len(folder.queue), folder.state) == (6, "")


def test_a_proxy_that_answers_for_a_silent_server_ends_nothing(lines: Path) -> None:
    silent = UnreachableError("x: cannot be reached (timed out)", code=TIMED_OUT)
    strange = StrangeAnswerError("x: what answers is no reading server")
    server = MemoryServer()
    asked = iter([([], 0)])  # once at the beginning

    def corrections(**_: Any) -> tuple[list[Any], int]:
        for answer in asked:
            server.fails = [silent]
            return answer
        raise strange

    server.corrections = corrections  # type: ignore[method-assign]
    folder = folder_of(lines, server)
    folder.read()
    assert (len(folder.queue), folder.state) == (6, "")


def test_a_control_that_was_corrected_for_another_reason_still_waits_to_be_one(lines: Path) -> None:
    keys = ["sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for path in (lines / "box 1").iterdir()]
    queue = Queue(control_share=0.5, seed=0, clock=lambda: 0.0)
    controls = [key for key in keys if queue.is_control(key)]
    server = MemoryServer(corrected=keys, chosen_by="reading")
    folder = Folder(lines, Reader(server), queue, 0, lambda _: False)  # type: ignore[arg-type]
    folder.read()
    assert 0 < len(queue) == len(controls) < len(keys)
    server.chosen_by = "sample"
    again = Folder(lines, Reader(server), Queue(control_share=0.5, seed=0, clock=queue.clock), 0, folder.wait)  # type: ignore[arg-type]
    again.read()
    assert len(again.queue) == 0


def test_a_server_that_takes_no_corrections_can_be_read_by(lines: Path) -> None:
    folder = folder_of(lines, MemoryServer(fails=[RefusedError(404, "none")]))
    folder.read()
    assert len(folder.queue) == 6


def test_it_ends_with_the_process(lines: Path) -> None:
    folder = folder_of(lines, MemoryServer(fails=[UnreachableError("x", 5.0)]), stop=True)
    folder.read()
    assert len(folder.queue) == 0
    assert "server is busy" in folder.state


def test_something_else_at_the_address_is_told(lines: Path) -> None:
    folder = folder_of(lines, MemoryServer(fails=[StrangeAnswerError("x")]))
    folder.read()
    assert "no reading server" in folder.state


def test_no_more_is_kept_than_may(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MAX_LINES", 3)
    folder = folder_of(lines, MemoryServer())
    folder.read()
    assert len(folder.queue) == 3


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such folder"):
        folder_of(tmp_path / "none", MemoryServer()).files()
