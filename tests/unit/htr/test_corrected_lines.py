"""What is counted by looking at what is new is what a full read finds, whatever becomes of the store meanwhile."""

import random
import threading
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from htr import append_log
from htr.corrected_lines import CorrectedLines, SampledErrors
from htr.correction_store import LOG, CorrectionStore, Stored, image_digest
from htr.corrections import Correction, Withdrawal, to_json
from htr.errors import ConflictError, DataError
from htr.importers.corrections import last_words
from htr.metrics import count_errors
from tests.unit.htr.test_corrections import CORRECTION, NOON

MODELS = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)


def made(number: int, *, image: bytes | None = None, **changes: str) -> Correction:
    values = {"id": f"c{number}", "request_id": f"r{number}", "line": "", "page": "", **changes}
    digest = image_digest(str(number).encode() if image is None else image)
    return replace(CORRECTION, image_digest=digest, **values)  # type: ignore[arg-type]  # all of them are texts


def drawn(draw: random.Random, number: int) -> tuple[Correction, bytes]:
    """Return a correction that may well be about a line that was corrected before."""
    image = f"image {draw.randrange(max(4, number // 2))}".encode()
    one = made(
        number,
        image=image,
        new_text=f"text {draw.randrange(50)}",
        old_text="text",
        chosen_by=draw.choice(["reading", "sample"]),
        bundle_digest=draw.choice(MODELS),
        line=draw.choice(["", f"l{draw.randrange(max(4, number // 2))}"]),
    )
    return one, image


def grouped(stored: list[Stored]) -> set[tuple[str, str]]:
    """Return the last word and the first correction of each line, by joining lines until none meet."""
    groups: list[list[int]] = []
    for number, one in enumerate(stored):
        met = [group for group in groups if any(same_line(one, stored[other]) for other in group)]
        groups = [group for group in groups if group not in met] + [
            sorted([*(n for group in met for n in group), number])
        ]
    words = [([n for n in group if stored[n].withdrawal is None], group[0]) for group in groups]
    return {(stored[left[-1]].correction.id, stored[first].correction.id) for left, first in words if left}


def same_line(a: Stored, b: Stored) -> bool:
    one, other = a.correction, b.correction
    return one.image_digest == other.image_digest or (
        one.line != "" and (one.page, one.line) == (other.page, other.line)
    )


def in_full(folder: Path, newest: int) -> tuple[int, set[str], dict[str, SampledErrors]]:
    """Return how many lines there are, whose places are known, and the sampled errors, by reading all of it."""
    stored = CorrectionStore(folder).read()[0]
    words = list(last_words(stored))
    assert {(last.id, first.id) for last, first in words} == grouped(stored)
    found = {}
    for model in MODELS:
        errors = [
            count_errors(one.new_text, one.old_text)
            for one, first in words
            if first.chosen_by == "sample" and one.bundle_digest == model
        ][-newest:]
        if errors:
            edits, characters = sum(one.edits for one in errors), sum(one.characters for one in errors)
            found[model] = SampledErrors(lines=len(errors), edits=edits, characters=characters)
    return len(words), {one.correction.request_id for one in stored}, found


def assert_is_up_to_date(lines: CorrectedLines, highest: int) -> None:
    count, places, sampled = in_full(lines.folder, 5)
    assert lines.count() == (count, CorrectedLines(lines.folder).count()[1])
    asked = [(f"r{number}", CORRECTION.position) for number in range(highest + 1)]
    assert {name for name, _ in lines.known(asked)} == places
    assert lines.sampled(5) == sampled


@pytest.mark.parametrize("seed", range(4))
def test_after_every_change_it_counts_what_a_full_read_counts(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    store, lines, number = CorrectionStore(tmp_path), CorrectedLines(tmp_path), 0
    assert lines.count() == (0, "")
    for turn in range(40):
        for _ in range(draw.randrange(3)):
            with suppress(ConflictError):  # of an image that was erased
                store.add(*drawn(draw, number))
            number += 1
        ids = [one.correction.id for one in store.read()[0]]
        act = draw.choice(["withdraw", "withdraw", "erase", "torn", "restored", "restarted", "nothing"])
        if act == "withdraw" and ids:
            store.withdraw(Withdrawal(id=draw.choice(ids), time=NOON, author="Bo"))
        elif act == "erase" and ids:
            store.erase([draw.choice(ids[-5:])], NOON)
        elif act == "torn":
            with (tmp_path / LOG).open("ab") as log:
                log.write(to_json(made(10_000 + turn)).encode()[: draw.randrange(1, 200)])
        elif act == "restored" and ids:  # in place, as cp does: the file's number stays
            whole = (tmp_path / LOG).read_bytes().splitlines(keepends=True)
            (tmp_path / LOG).write_bytes(b"".join(line for line in whole if b"withdrawal" not in line))
        elif act == "restarted":
            lines = CorrectedLines(tmp_path)
        if draw.random() < 0.7:  # else several changes come between two looks
            assert_is_up_to_date(lines, number)
    assert_is_up_to_date(lines, number)


def test_two_erasures_and_new_corrections_between_two_looks_leave_nothing_missed_or_doubled(
    tmp_path: Path,
) -> None:
    store, lines = CorrectionStore(tmp_path), CorrectedLines(tmp_path)
    for number in range(20):
        store.add(made(number), str(number).encode())
        if number % 4 == 3:  # a file's number may be given out again after the second
            assert_is_up_to_date(lines, 220)
            store.erase([f"c{number - 1}"], NOON)
            store.add(made(100 + number), str(100 + number).encode())
            store.erase([f"c{number}"], NOON)
            store.add(made(200 + number), str(200 + number).encode())
    assert_is_up_to_date(lines, 220)
    assert lines.count()[0] == 20


def test_looks_while_others_add_and_erase_end_with_what_is_there(tmp_path: Path) -> None:
    lines = CorrectedLines(tmp_path)
    CorrectionStore(tmp_path).prepare()
    counted: list[int] = []
    done = threading.Event()

    def add(first: int) -> None:
        store = CorrectionStore(tmp_path)
        for number in range(first, first + 30):
            store.add(made(number), str(number).encode())
            if number % 10 == 9:
                CorrectionStore(tmp_path).erase([f"c{number - 1}"], NOON)

    def look() -> None:
        while not done.is_set():
            counted.append(lines.count()[0])

    writers = [threading.Thread(target=add, args=(first,)) for first in (0, 100)]
    looking = threading.Thread(target=look)
    for thread in (*writers, looking):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    looking.join()
    assert max(counted) <= 54 + 2, "never more than were there at once: one of each writer's waits for its erasure"
    assert lines.count()[0] == 60 - 6
    assert_is_up_to_date(lines, 130)


def filled(folder: Path, count: int, first: int = 0, **changes: str) -> None:
    """Append corrections as the store does, without its waiting for the disk."""
    folder.mkdir(exist_ok=True)
    with (folder / LOG).open("ab") as log:
        log.writelines(to_json(made(number, **changes)).encode() + b"\n" for number in range(first, first + count))


def bytes_read() -> int:
    """Return how many bytes this process has read from files and pipes so far."""
    told = Path("/proc/self/io")
    if not told.is_file():
        pytest.skip("the system does not tell how much a process reads")
    return int(told.read_text(encoding="ascii").splitlines()[0].removeprefix("rchar: "))


def test_a_second_look_reads_what_is_new_and_not_what_was_read(tmp_path: Path) -> None:
    filled(tmp_path, 600)
    lines = CorrectedLines(tmp_path)
    begun = bytes_read()
    lines.count()
    whole = bytes_read() - begun
    assert whole >= (tmp_path / LOG).stat().st_size > 300_000
    filled(tmp_path, 3, first=600)
    begun = bytes_read()
    assert lines.count()[0] == 603
    assert lines.sampled(500) == {}
    assert lines.known([("r602", CORRECTION.position)])
    assert bytes_read() - begun < whole / 20


def test_all_of_a_store_is_gone_through_without_being_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, 60, old_text="x" * 2000, new_text="y" * 2000)
    monkeypatch.setattr(append_log, "BLOCK_BYTES", 2**13)
    tracemalloc.start()
    with CorrectionStore(tmp_path).snapshot() as stored:
        assert sum(1 for _ in last_words(stored)) == len(stored) == 60
    _, streamed = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert streamed < (tmp_path / LOG).stat().st_size / 2


def test_in_a_snapshot_are_those_of_that_moment_whatever_others_do(tmp_path: Path) -> None:
    store = CorrectionStore(tmp_path)
    for number in range(3):
        store.add(made(number), str(number).encode())
    with CorrectionStore(tmp_path).snapshot() as stored:
        store.add(made(3), b"3")
        store.erase(["c0"], NOON)
        assert [one.correction.id for one in stored] == ["c0", "c1", "c2"]
        assert stored[2].correction == made(2)
    with CorrectionStore(tmp_path).snapshot() as stored:
        assert [one.correction.id for one in stored] == ["c1", "c2", "c3"]
    with CorrectionStore(tmp_path / "none").snapshot() as stored:
        assert list(stored) == []


def test_damage_is_told_at_every_look_and_what_was_restored_is_read(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    lines = CorrectedLines(tmp_path)
    whole = (tmp_path / LOG).read_bytes()
    (tmp_path / LOG).write_bytes(whole.replace(b'"c1"', b'"cx"'))
    for _ in range(2):
        with pytest.raises(DataError, match=r"corrections\.jsonl: line 2: altered.*backup"):
            lines.count()
    (tmp_path / LOG).write_bytes(whole)
    assert lines.count()[0] == 3


def test_the_digest_is_that_of_the_lines_whatever_the_order_and_what_came_of_others(tmp_path: Path) -> None:
    one, other = CorrectionStore(tmp_path / "one"), CorrectionStore(tmp_path / "other")
    for number in range(5):
        one.add(made(number), str(number).encode())
    one.withdraw(Withdrawal(id="c4", time=NOON, author="Bo"))
    for number in (2, 0, 3, 1):
        other.add(made(number), str(number).encode())
    said = CorrectedLines(tmp_path / "one").count()
    assert said == CorrectedLines(tmp_path / "other").count()
    assert said == (4, "sha256:6a361e3464f5be3dd7fb825f97a3f0baf1d1f98d18768e084d3c661c7ac6b33e")
    other.add(made(9, image=b"1", new_text="another word"), b"1")
    assert CorrectedLines(tmp_path / "other").count() != said
