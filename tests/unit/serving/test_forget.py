import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from htr.correction_store import CorrectionStore, image_digest
from htr.corrections import Correction, Withdrawal
from htr.erasure import Wanted, erase
from htr.errors import ConflictError
from htr.image_log import SCHEMA as IMAGE_SCHEMA
from htr.image_log import read_images
from htr.importers.corrections import import_corrections
from htr.labelling import LabellingRequest, RequestedLine, write_request
from htr.lines import LinesDataset
from htr.places import find_places
from htr.prediction_log import read_log
from htr.versions import open_store
from pipelines.fsck import check
from serving.__main__ import main
from tests.conftest import line_png, make_line
from tests.datasets import write_lines
from tests.fakes import NOON, log_rows, profile_rows
from tests.faults.killing import Kill, run

DIGEST = "sha256:" + "0" * 64


def picture(request: int) -> bytes:
    return line_png(f"hand {request}", seed=request)


def correct(folder: Path, request: int) -> Correction:
    correction = Correction(
        id=f"desk-{request}", time=NOON, author="Ada", model_version="1", bundle_digest=DIGEST, old_text="",
        new_text=f"secret {request}", image_digest=image_digest(picture(request)), writer=f"writer-{request}",
        request_id=f"request-{request}",
    )  # fmt: skip
    CorrectionStore(folder).add(correction, picture(request))
    return correction


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three people's lines in everything that keeps lines"""
    root = tmp_path / "root"
    log = root / "log"
    (log / "images").mkdir(parents=True)
    rows, images = log_rows(profile_rows(3, seed=1), bundle_digest=DIGEST).to_pylist(), []
    for number, row in enumerate(rows):
        row |= {"request_id": f"request-{number}", "position": 0}
        named = {name: row[name] for name in ("time", "request_id", "position", "model_version", "bundle_digest")}
        image = picture(number)
        kept = {"text": f"read {number}", "confidence": 0.5, "image": image, "image_digest": image_digest(image)}
        images.append({**named, **kept})
        correct(root / "corrections", number)
    schema = read_log(log).schema
    stamp = "20261120T120000.000000Z-1-0.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), log / stamp)
    pq.write_table(pa.Table.from_pylist(images, schema=IMAGE_SCHEMA), log / "images" / stamp)
    withdrawn = Withdrawal(id="desk-2", time=NOON, author="Bo")
    CorrectionStore(root / "corrections").withdraw(withdrawn)
    import_corrections(root / "corrections", root / "datasets" / "key")
    write_lines(root / "lines", [make_line("one", 1, writer="writer-1"), make_line("two", 2, writer="other")])
    asked = tuple(
        RequestedLine(request_id=f"request-{n}", position=0, why="control", chosen_by="sample") for n in (1, 2)
    )
    request = LabellingRequest(record=3, champion=DIGEST, reason="r", wanted=2, lines=asked)
    write_request(root / "state", request)
    return root


def traces(root: Path, *needles: bytes) -> list[str]:
    """Return the files below a folder that hold something, looked for as bytes and within Parquet."""
    found = []
    for file in root.rglob("*"):
        if not file.is_file():
            continue
        content = file.read_bytes()
        if file.suffix == ".parquet":
            content += str(pq.read_table(file).to_pylist()).encode()
        if any(needle in content for needle in needles):
            found.append(str(file.relative_to(root)))
    return found


@pytest.mark.parametrize("whose", [["--request", "request-1"], ["--writer", "writer-1"]])
def test_nothing_of_somebody_is_left_and_all_of_the_others(
    root: Path, whose: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    image = picture(1)
    needles = [b"secret 1", b"request-1", image_digest(image).removeprefix("sha256:").encode(), b"desk-1", image]
    assert len(traces(root, *needles)) >= 6
    assert main(["forget", *whose, "--root", str(root)]) == 0
    assert "erased: 1 corrections" in capsys.readouterr().out
    assert traces(root, *needles) == []
    assert len(read_log(root / "log")) == 2
    assert len(list(read_images(root / "log"))) == 2
    assert [one.correction.id for one in CorrectionStore(root / "corrections").read()[0]] == ["desk-0", "desk-2"]
    assert [line.text for line in LinesDataset.open(root / "datasets" / "key").lines()] == ["secret 0"]
    assert [one for one in check(find_places(root), root) if one.is_fault] == []


def test_a_tombstone_keeps_it_from_coming_back_and_says_nothing(root: Path) -> None:
    withdrawn = CorrectionStore(root / "corrections").read()[0][2].withdrawal
    main(["forget", "--writer", "writer-1", "--root", str(root)])
    with pytest.raises(ConflictError, match="was erased"):
        correct(root / "corrections", 1)
    stones = (root / "corrections" / "erased.jsonl").read_text()
    assert "writer-1" not in stones
    assert "desk-1" not in stones
    assert CorrectionStore(root / "corrections").read()[0][1].withdrawal == withdrawn


def test_a_running_server_goes_on_with_the_store_that_was_written_anew(root: Path) -> None:
    running = CorrectionStore(root / "corrections")
    assert running.read()[1] == 3
    main(["forget", "--writer", "writer-1", "--root", str(root)])
    image = line_png("new")
    new = Correction(
        id="new", time=NOON, author="Ada", model_version="1", bundle_digest=DIGEST, old_text="", new_text="new",
        image_digest=image_digest(image),
    )  # fmt: skip
    assert running.add(new, image)
    assert [one.correction.id for one in CorrectionStore(root / "corrections").read()[0]] == [
        "desk-0",
        "desk-2",
        "new",
    ]


def test_datasets_list_what_was_erased(root: Path) -> None:
    before = LinesDataset.open(root / "lines").digest
    main(["forget", "--writer", "writer-1", "--root", str(root)])
    (told,) = LinesDataset.open(root / "lines").info.lineage["erased"]
    assert (told["lines"], told["was"]) == (1, before)
    assert "line-1" not in json.dumps(told)
    LinesDataset.open(root / "lines").verify()


def test_a_dry_run_changes_no_byte(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    assert main(["forget", "--request", "request-1", "--root", str(root), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["corrections"], found["images"], found["rows"], found["requests"]) == (1, 1, 1, 1)
    assert files == {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_reports_that_name_a_line_are_listed_and_left(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = root / "report.json"
    report.write_text(json.dumps({"lines": [{"id": image_digest(picture(1)).removeprefix("sha256:")}]}))
    main(["forget", "--writer", "writer-1", "--root", str(root)])
    assert f"a report or a log that names a line: {report}" in capsys.readouterr().out
    assert report.exists()


def test_nobody_of_that_name_and_mistakes_have_exit_codes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget", "--writer", "nobody", "--root", str(root)]) == 1
    assert main(["forget", "--writer", "nobody", "--root", str(root / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_an_erasure_that_is_killed_anywhere_is_ended_by_the_next(root: Path, tmp_path: Path) -> None:
    def act(folder: Path, promise: Callable[[str], None]) -> None:
        erase([folder], Wanted(request="request-1"), time=datetime.now(UTC))

    whole = shutil.copytree(root, tmp_path / "whole")
    touches = run(act, whole).touches
    assert touches > 20
    for at in range(1, touches, max(1, touches // 12)):
        world = shutil.copytree(root, tmp_path / str(at))
        assert run(act, world, Kill(touch=at)).killed
        assert run(act, world).error == ""
        assert traces(world, b"secret 1", b"request-1") == [], at
        assert [one for one in check(find_places(world), world) if one.is_fault] == []


def published(root: Path, store: Path) -> dict[str, str]:
    """Publish the datasets below a root; return digests by name."""
    opened = open_store(store)
    opened.publish("lines", "corrected", root / "datasets" / "key")
    opened.publish("lines", "letters", root / "lines")
    others = write_lines(root.parent / "others", [make_line("three", 3, writer="other")])
    opened.publish("lines", "others", others.path)
    return opened.names("lines")


@pytest.mark.parametrize("whose", [["--request", "request-1"], ["--writer", "writer-1"]])
def test_published_versions_that_hold_the_lines_go_as_a_whole(
    root: Path, tmp_path: Path, whose: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    names = published(root, store)
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    arguments = ["forget", *whose, "--root", str(root), "--store", str(store)]
    assert main([*arguments, "--dry-run"]) == 0
    assert (
        f"would be erased: lines version {names['corrected']}, which corrected stands for"
        in capsys.readouterr().out
    )
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before
    assert main(arguments) == 0
    assert f"erased: lines version {names['corrected']}" in capsys.readouterr().out
    needles = [b"secret 1", picture(1), *([b"writer-1"] if "--writer" in whose else [])]
    assert traces(store, *needles) == []
    assert names["corrected"] in open_store(store).erased("lines")
    assert names["others"] not in open_store(store).erased("lines")
    assert list(open_store(store).check(deep=True)) == []
    open_store(store).publish("lines", "corrected", root / "datasets" / "key")
    assert open_store(store).resolve("lines", "corrected").digest != names["corrected"]


def test_a_store_that_is_named_later_loses_what_was_erased_here_before(root: Path, tmp_path: Path) -> None:
    names = published(root, tmp_path / "store")
    assert main(["forget", "--request", "request-1", "--root", str(root)]) == 0
    later = ["forget", "--request", "request-1", "--root", str(root), "--store", str(tmp_path / "store")]
    assert main(later) == 0
    assert list(open_store(tmp_path / "store").erased("lines")) == [names["corrected"]]
    assert main(later) == 1, "nothing is left"


def test_a_store_that_is_away_leaves_all_to_the_next_try(root: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    published(root, store)
    shutil.move(store / "index.json", tmp_path / "kept")
    (store / "index.json").mkdir()
    arguments = ["forget", "--request", "request-1", "--root", str(root), "--store", str(store)]
    assert main(arguments) == 2
    assert CorrectionStore(root / "corrections").read()[1] == 3
    (store / "index.json").rmdir()
    shutil.move(tmp_path / "kept", store / "index.json")
    assert main(arguments) == 0
    assert traces(store, b"secret 1", picture(1)) == []
