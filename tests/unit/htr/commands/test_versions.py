"""The commands around the store of versions."""

import json
import re
from pathlib import Path

import pytest

from htr.__main__ import main
from htr.lines import LinesDataset
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.store_content import write_a_bundle


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUILLFLOW_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def test_lines_are_published_listed_compared_and_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [make_line(f"line {n}", n) for n in range(3)]
    a, b = write_lines(tmp_path / "a", rows), write_lines(tmp_path / "b", [*rows[1:], make_line("new", 9)])
    digests = [one.digest.removeprefix("sha256:") for one in (a, b)]
    assert main(["publish", str(a.path), "--name", "letters", "--importer", "by hand"]) == 0
    assert main(["publish", str(b.path), "--name", "letters", "--commit", "abc"]) == 0
    uri = capsys.readouterr().out.splitlines()[-1]
    assert uri == f"quillflow+{(tmp_path / 'store').as_uri()}/lines/{digests[1]}"

    assert main(["versions", "lines"]) == 0
    assert capsys.readouterr().out == f"{digests[1]}  letters\n"
    assert main(["versions", "lines", "letters"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert f"{digests[0]}  importer by hand" in first
    assert f"{digests[1]}  commit abc" in second
    assert main(["versions", "lines", "letters", "--json"]) == 0
    assert [json.loads(line)["digest"] for line in capsys.readouterr().out.splitlines()] == digests

    assert main(["diff", "lines", digests[0], "letters"]) == 0
    assert capsys.readouterr().out == "1 lines came, 1 went, 0 changed, 2 are the same\n+ line-9\n- line-0\n"
    assert main(["diff", "lines", digests[0], "letters", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["went"] == ["line-0"]

    for number, version in enumerate((uri, "lines/letters", f"lines/{digests[1]}")):
        assert main(["fetch", version, "--out", str(tmp_path / f"copy-{number}")]) == 0
        assert LinesDataset.open(tmp_path / f"copy-{number}").digest == b.digest


def test_the_same_lines_in_another_order_are_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [make_line(f"line {n}", n) for n in range(3)]
    for name, order in (("a", rows), ("b", rows[::-1])):
        main(["publish", str(write_lines(tmp_path / name, order).path), "--name", name])
    capsys.readouterr()
    assert main(["diff", "lines", "a", "b"]) == 0
    assert "the same lines in another order" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["publish", "{folder}/nothing", "--name", "a"], "neither a lines dataset"),
        (["publish", "{folder}/bundle", "--name", "a b"], "is no name for versions"),
        (["publish", "{folder}/bundle", "--name", "a", "--commit", "b\nc"], "must be one line of at most 1000"),
        (
            ["publish", "{folder}/bundle", "--name", "a", "--store", "s3://me:hush@team/a"],
            "must not hold a user or secret",
        ),
        (["fetch", "letters", "--out", "{folder}/x"], "give lines/NAME"),
        (["fetch", "lines/letters", "--out", "{folder}/x"], "no lines named 'letters'"),
        (["versions", "lines", "letters"], "there are none yet"),
        (["diff", "bundle", "0" * 64, "a"], "no bundle with digest"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_a_bundle(tmp_path / "bundle")
    assert main([argument.format(folder=tmp_path) for argument in arguments]) == 2
    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert "hush" not in told
    assert not (tmp_path / "x").exists()


def test_an_empty_store_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["versions", "bundle"]) == 0
    assert "no bundle yet" in capsys.readouterr().out


def test_an_erased_version_is_listed_as_such_and_not_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = write_lines(tmp_path / "a", [make_line("line 0", 0)])
    main(["publish", str(lines.path), "--name", "letters"])
    digest = lines.digest.removeprefix("sha256:")
    capsys.readouterr()
    assert main(["erase-version", "lines", "letters"]) == 0
    assert re.match(
        rf"lines {digest}: erased, \d files\nlines letters: stands for it still", capsys.readouterr().out
    )
    for arguments in (["versions", "lines"], ["versions", "lines", "letters"]):
        assert main(arguments) == 0
        assert f"{digest}" in (out := capsys.readouterr().out)
        assert "erased 20" in out
    assert main(["fetch", "lines/letters", "--out", str(tmp_path / "copy")]) == 2
    refused = capsys.readouterr().err
    assert f"lines {digest} was erased on" in refused
    assert refused.count("\n") == 1
    assert main(["erase-version", "lines", "0" * 64]) == 2
