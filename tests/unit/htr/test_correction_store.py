"""The store of corrections: what it accepts, and what a crash, a full disk or a second process does to it."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from htr.correction_store import LOG, CorrectionStore, image_digest
from htr.corrections import Correction, Withdrawal
from htr.errors import ConflictError, DataError, MissingError, OutputError
from tests.unit.htr.test_corrections import CORRECTION, NOON

ROOT = Path(__file__).parents[3]
WRITER = """
import sys
from pathlib import Path
from htr.correction_store import CorrectionStore
from tests.unit.htr.test_correction_store import correction, picture

store, name = CorrectionStore(Path(sys.argv[1])), sys.argv[2]
for number in range(int(sys.argv[3])):
    one = correction(f"{name}-{number}")
    store.add(one, picture(one.id))
    print(one.id, flush=True)
"""
"""Adds corrections and acknowledges each; endless for a large enough number."""


def picture(name: str) -> bytes:
    return f"picture of {name}".encode() * 50


def correction(name: str, **changes: str) -> Correction:
    values = {"id": name, "new_text": f"text of {name}", "image_digest": image_digest(picture(name)), **changes}
    return replace(CORRECTION, **values)  # type: ignore[arg-type]  # all of them are texts


def filled(folder: Path, *names: str) -> CorrectionStore:
    store = CorrectionStore(folder)
    for name in names:
        assert store.add(correction(name), picture(name))
    return store


def ids(folder: Path) -> list[str]:
    return [stored.correction.id for stored in CorrectionStore(folder).read()[0]]


def test_corrections_come_back_in_order_with_their_images(tmp_path: Path) -> None:
    store = filled(tmp_path / "new" / "store", "a", "b", "c")
    found, count = store.read()
    assert [one.correction for one in found] == [correction(name) for name in "abc"]
    assert count == 3
    assert [store.image_file(one.correction).read_bytes() for one in found] == [picture(name) for name in "abc"]
    assert [one.correction.id for one in store.read(start=1, most=1)[0]] == ["b"]
    assert CorrectionStore(tmp_path / "none").read() == ([], 0)


def test_the_same_again_is_stored_once_and_something_else_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path, "a")
    later = correction("a")
    before = (tmp_path / LOG).read_bytes()
    for other in (store, CorrectionStore(tmp_path)):  # the one that knows, and one that has to look
        assert not other.add(replace(later, time=NOON.replace(hour=13)), picture("a"))
        with pytest.raises(ConflictError, match="'a' stands for another correction"):
            other.add(correction("a", new_text="different"), picture("a"))
        with pytest.raises(ConflictError):
            other.add(correction("a", image_digest=image_digest(b"other")), b"other")
    assert (tmp_path / LOG).read_bytes() == before
    assert store.read()[0][0].correction.time == NOON


def test_an_image_must_be_the_one_that_its_digest_stands_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="image_digest"):
        CorrectionStore(tmp_path).add(correction("a"), b"another image")
    assert ids(tmp_path) == []


def test_an_image_that_was_lost_comes_back_when_it_is_sent_again(tmp_path: Path) -> None:
    store = filled(tmp_path, "a")
    store.image_file(correction("a")).write_bytes(b"rotten")
    assert not store.add(correction("a"), picture("a"))
    assert store.image_file(correction("a")).read_bytes() == picture("a")


def test_a_withdrawal_is_kept_once_and_needs_a_correction(tmp_path: Path) -> None:
    store = filled(tmp_path, "a", "b")
    withdrawal = Withdrawal(id="a", time=NOON, author="Bo", reason="wrong line")
    assert store.withdraw(withdrawal)
    assert not store.withdraw(replace(withdrawal, author="Cy"))
    with pytest.raises(MissingError, match="no correction 'c'"):
        store.withdraw(replace(withdrawal, id="c"))
    assert not store.add(correction("a"), picture("a"))
    for one in (store, CorrectionStore(tmp_path)):
        assert [stored.withdrawal for stored in one.read()[0]] == [withdrawal, None]


def test_wherever_the_last_record_breaks_off_it_is_ignored_and_then_repaired(tmp_path: Path) -> None:
    log = tmp_path / LOG
    filled(tmp_path, "a")
    whole = len(log.read_bytes())
    filled_store = filled(tmp_path, "b")
    full = log.read_bytes()
    holes = full[: whole + 40] + b"\0" * (len(full) - whole - 41) + b"\n"
    for end in range(whole + 1, len(full)):
        log.write_bytes(full[:end])
        assert ids(tmp_path) == ["a"]
        assert log.stat().st_size == end  # a reader repairs nothing
    for torn in (full[: whole + 1], full[: whole + 100], full[:-1], holes):
        log.write_bytes(torn)
        assert CorrectionStore(tmp_path).add(correction("b"), picture("b"))
        assert log.read_bytes() == full
    assert (tmp_path / "corrections.torn").read_bytes().endswith(holes[whole:] + b"\n")
    assert not filled_store.add(correction("b"), picture("b"))


def test_damage_that_is_no_torn_end_is_an_error_and_nothing_is_cut_off(tmp_path: Path) -> None:
    store = filled(tmp_path, "a", "b")
    log = tmp_path / LOG
    damaged = log.read_bytes().replace(b"text of a", b"text of x")
    log.write_bytes(damaged)
    for act in (CorrectionStore(tmp_path).read, CorrectionStore(tmp_path).prepare):
        with pytest.raises(DataError, match=r"corrections\.jsonl: line 1: altered.*backup"):
            act()
    assert log.read_bytes() == damaged
    with pytest.raises(DataError, match="correction 'a': altered"):
        store.read()
    assert [one.correction.id for one in store.read(start=1)[0]] == ["b"]


def test_another_file_in_the_logs_place_is_read_anew(tmp_path: Path) -> None:
    store = filled(tmp_path / "one", "a", "b")
    filled(tmp_path / "two", "c")
    (tmp_path / "two" / LOG).replace(tmp_path / "one" / LOG)
    assert [one.correction.id for one in store.read()[0]] == ["c"]
    assert store.add(correction("a"), picture("a"))


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for turn in range(3):
        command = [sys.executable, "-c", WRITER, str(tmp_path), f"turn{turn}", "1000000"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            seen = [writer.stdout.readline().strip() for _ in range(5 + 3 * turn)]
            writer.send_signal(signal.SIGKILL)
            seen += [line.strip() for line in writer.stdout.read().splitlines()]
        acknowledged += filter(None, seen)
        stored = CorrectionStore(tmp_path).read()[0]
        assert set(acknowledged) <= {one.correction.id for one in stored}
        for one in stored:
            assert CorrectionStore(tmp_path).image_file(one.correction).read_bytes() == picture(one.correction.id)
    assert len(acknowledged) >= 5 + 8 + 11


def test_several_processes_and_threads_add_at_once_and_each_correction_is_there_once(tmp_path: Path) -> None:
    names = ("one", "two", "one")  # the third sends what the first sends
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name, "25"], cwd=ROOT, stdout=subprocess.DEVNULL) for name in names]
    store = CorrectionStore(tmp_path)

    def add() -> None:
        for number in range(25):
            store.add(correction(f"here-{number}"), picture(f"here-{number}"))

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    expected = [f"{name}-{number}" for name in ("one", "two", "here") for number in range(25)]
    assert sorted(ids(tmp_path)) == sorted(expected)
    assert len((tmp_path / LOG).read_bytes().splitlines()) == len(expected)


def test_a_disk_that_refuses_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    filled(tmp_path, "a")
    before = (tmp_path / LOG).read_bytes()
    script = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 100}, {len(before) + 100}))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pathlib import Path\n"
        "from htr.correction_store import CorrectionStore, image_digest\n"
        "from htr.errors import OutputError\n"
        "from tests.unit.htr.test_correction_store import correction\n"
        "try:\n"
        "    CorrectionStore(Path(sys.argv[1])).add(correction('b', image_digest=image_digest(b'b')), b'b')\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "corrections cannot be written (File too large)" in done.stdout
    assert (tmp_path / LOG).read_bytes() == before


def test_a_place_that_cannot_be_written_is_refused_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        CorrectionStore(tmp_path / "file").prepare()
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 - names are enough


def test_a_correction_that_waits_while_another_is_erased_is_not_written_into_a_file_without_a_name(
    tmp_path: Path,
) -> None:
    for number in range(4):
        folder = tmp_path / str(number)
        filled(folder, "a", "b")
        with (folder / LOG).open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            acts: list[Callable[[], object]] = [
                lambda folder=folder: CorrectionStore(folder).erase(["a"], NOON),  # type: ignore[misc]
                lambda folder=folder: CorrectionStore(folder).add(correction("c"), picture("c")),  # type: ignore[misc]
            ]
            threads = [threading.Thread(target=act) for act in acts]
            for thread in threads:
                thread.start()
                time.sleep(0.1)  # they wait for the lock in this order
        for thread in threads:
            thread.join()
        assert ids(folder) == ["b", "c"]


def test_the_same_image_under_another_id_was_erased_as_well(tmp_path: Path) -> None:
    store = filled(tmp_path, "a", "b")
    store.erase(["a"], NOON)
    with pytest.raises(ConflictError, match="was erased"):
        store.add(correction("other", image_digest=image_digest(picture("a"))), picture("a"))
    assert ids(tmp_path) == ["b"]
    assert not store.image_file(correction("a")).exists()
