"""Every command in the first table of docs/mistakes.md is typed, and its answer compared with the page."""

import importlib
import os
import re
import shlex
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from htr.lines import LinesWriter
from tests.conftest import line_png, make_line
from tests.docs.pages import ROOT, text_of

PAGE = ROOT / "docs" / "mistakes.md"
HUGE = ROOT / "tests" / "corpus" / "image" / "bomb-60000-by-60000.png"
TABLES = {
    "table": b"file_name,text\na.png,hello\nmissing.png,gone\na.png,\n",
    "empty": b"",
    "header": b"file_name,text\n",
    "columns": b"image,label\na.png,hello\n",
    "latin": b"file_name,text\na.png,caf\xe9\n",
}


class Row(NamedTuple):
    mistake: str
    command: str
    said: str


def rows() -> list[Row]:
    """Return the table's rows."""
    table = text_of(PAGE).partition("\n## Played by a test\n")[2].partition("\n## ")[0]
    return [Row(*found) for found in re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+)` \|$", table, re.MULTILINE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """What the page says is there."""
    made = tmp_path_factory.mktemp("mistakes")
    (made / "my").mkdir()
    for name, data in TABLES.items():
        (made / "my" / f"{name}.csv").write_bytes(data)
    (made / "my" / "a.png").write_bytes(line_png("hello"))
    (made / "my" / "text.png").write_text("no image")
    shutil.copy(HUGE, made / "my" / "huge.png")
    with LinesWriter(made / "my-lines") as writer:
        for n in range(3):
            writer.add(make_line("some text", n, split="train"))
    shutil.copytree(tiny_bundle, made / "my-model")
    return made


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """A port that somebody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield str(taken.getsockname()[1])


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Programs are called in this process: leave it as it was."""
    environment = dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    for name in list(os.environ):
        if name.startswith(("QUILLFLOW_", "AWS_", "MLFLOW_", "KF_PIPELINES_")):
            del os.environ[name]
    os.environ["HOME"] = str(tmp_path)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.environ.clear()
    os.environ.update(environment)


def told(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Type a command; return its exit code and the line after the last ``error:``."""
    words = shlex.split(re.sub(r"=(\{[^ ]*\})", r"='\1'", command))
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        os.environ[name] = value
    program = importlib.import_module(f"{words[2]}.__main__")
    try:
        code = program.main(words[3:])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    *_, said = capsys.readouterr().err.partition("error: ")
    return code, said.strip()


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.mistake.replace(" ", "_"))
def test_a_mistake_is_answered_as_the_page_says(
    row: Row, folder: Path, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    before = set(folder.rglob("*"))
    code, said = told(row.command.replace("8080", port), capsys)
    wanted = ".*".join(re.escape(part) for part in row.said.replace("8080", port).split("..."))
    assert re.fullmatch(wanted, said), said
    assert code == 2
    assert {path for path in set(folder.rglob("*")) - before if path.name in {"out", "out.yaml", "model"}} == set()


def test_the_page_has_the_likeliest_thirty() -> None:
    assert len(rows()) >= 30
