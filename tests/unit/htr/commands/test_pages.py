"""The command pages: what it prints and writes, how it goes on, and what it says of mistakes."""

import io
import json
import os
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

import htr.pages.batch
from htr.__main__ import main
from htr.commands.pages import _Bar
from htr.layout.marks import parse_page_xml
from htr.pages.to_json import parse_page_json
from tests.drawn_pages import DrawnPage, sentence

EVERYTHING = "text,alto,page,pdf,overlay"


def drawn(lines: int = 3) -> DrawnPage:
    page = DrawnPage(width=600, height=400)
    for n in range(lines):
        page.write(sentence(n, 5), 40, 60 + 90 * n)
    return page


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Return a folder with one page at the top, and a file of two pages and a page of the same stem below."""
    folder = tmp_path / "scans"
    (folder / "box").mkdir(parents=True)
    drawn().save(folder / "a.png")
    first, second = (Image.fromarray(drawn(n).grey()) for n in (2, 1))
    first.save(folder / "box" / "b.tif", save_all=True, append_images=[second])
    drawn(1).save(folder / "box" / "b.png")
    (folder / "notes.md").write_text("no page")
    return folder


def pages(bundle: Path, *arguments: str | Path) -> int:
    return main(["pages", "--bundle", str(bundle), *map(str, arguments)])


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_text_or_json_is_printed_where_no_folder_is_given(
    tiny_bundle: Path, scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pages(tiny_bundle, scans / "a.png", "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert (answer["file"], answer["page"], answer["width"], len(answer["lines"])) == ("a.png", 1, 600, 3)
    assert pages(tiny_bundle, scans / "a.png") == 0
    printed = [line for line in capsys.readouterr().out.split("\n") if line]
    assert printed == [line["text"] for line in answer["lines"] if line["text"]]


def test_a_folder_is_read_into_another_with_every_format(tiny_bundle: Path, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pages(tiny_bundle, scans, "--out", out, "--formats", EVERYTHING) == 0
    each = (".alto.xml", ".json", ".overlay.jpg", ".page.xml", ".txt")
    stems = ("a.png", "box/b.png", "box/b.tif.0001", "box/b.tif.0002")
    documents = ("a.png.pdf", "box/b.png.pdf", "box/b.tif.pdf")
    assert names(out) == sorted([stem + ending for stem in stems for ending in each] + [*documents])
    reading, origin = parse_page_json(out / "box" / "b.tif.0001.json")
    assert (origin.page, origin.num_pages, len(reading.lines)) == (1, 2, 2)
    for ending in (".alto.xml", ".page.xml"):
        marked = parse_page_xml(out / f"box/b.tif.0001{ending}")
        assert marked.texts == tuple(line.text for line in reading.lines)
    assert (out / "box/b.tif.0001.txt").read_text() == reading.text + "\n"
    assert Image.open(out / "a.png.overlay.jpg").size == (600, 400)
    assert len(pypdfium2.PdfDocument(out / "box/b.tif.pdf")) == 2


def test_a_batch_that_was_stopped_goes_on_where_it_was(
    tiny_bundle: Path,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, read = tmp_path / "out", []
    real = htr.pages.batch.read_page

    def counted(*args: object) -> object:
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(args)
        return real(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as killed:
        killed.setattr(htr.pages.batch, "read_page", counted)
        assert pages(tiny_bundle, scans, "--out", out, "--formats", EVERYTHING) == 130
    before = {name: (out / name).stat().st_mtime_ns for name in names(out)}
    assert sum(name.endswith(".json") for name in before) == 2
    assert not [name for name in before if name.endswith(".partial")]
    capsys.readouterr()
    assert pages(tiny_bundle, scans, "--out", out, "--formats", EVERYTHING) == 0
    assert "4 pages with 7 lines" in (told := capsys.readouterr().out)
    assert "2 of them read before" in told
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before, "nothing was written twice"
    assert pages(tiny_bundle, scans, "--out", out, "--formats", EVERYTHING) == 0
    assert "4 of them read before" in capsys.readouterr().out


def test_more_formats_are_made_without_reading_again(
    tiny_bundle: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert pages(tiny_bundle, scans, "--out", out) == 0
    monkeypatch.setattr(htr.pages.batch, "read_page", None)
    assert pages(tiny_bundle, scans, "--out", out, "--formats", EVERYTHING) == 0
    assert len(names(out)) == 4 * 5 + 3


def test_a_page_that_changed_is_read_again_and_nothing_of_the_old_one_stays(
    tiny_bundle: Path, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert pages(tiny_bundle, scans / "a.png", "--out", out, "--formats", "text,alto,pdf") == 0
    drawn(1).save(scans / "a.png")
    assert pages(tiny_bundle, scans / "a.png", "--out", out, "--formats", "text,pdf") == 0
    assert names(out) == ["a.png.json", "a.png.pdf", "a.png.txt"]
    assert len(parse_page_json(out / "a.png.json")[0].lines) == 1
    document = pypdfium2.PdfDocument(out / "a.png.pdf")
    assert len(document) == 1


def test_one_bad_file_is_named_and_does_not_spoil_the_others(
    tiny_bundle: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scans / "bad.png").write_bytes(b"nonsense")
    (scans / "small.png").write_bytes(b"")
    Image.new("L", (30, 30)).save(scans / "small.png")
    assert pages(tiny_bundle, scans, "--out", tmp_path / "out") == 2
    told = capsys.readouterr()
    assert "4 pages" in told.out
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert [line.split(": ")[1] for line in errors] == [str(scans / "bad.png"), f"{scans / 'small.png'}"]
    assert pages(tiny_bundle, scans / "bad.png", scans / "a.png") == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {scans / 'bad.png'}: ")
    assert told.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none"], "there is no such file or folder"),
        (["empty"], "no pages there"),
        (["scans", "--formats", "text"], "add --out"),
        (["scans", "--out", "out", "--formats", "docx"], "--formats docx"),
        (["scans", "--out", "out", "--json"], "give one of the two"),
        (["scans", "scans/box", "scans/box/b.png", "other", "--out", "out"], "same place"),
        (["scans", "--out", "scans/a.png"], "choose another --out"),
    ],
)
def test_mistakes_are_told_of_in_one_line(
    tiny_bundle: Path,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    drawn(1).save(tmp_path / "other" / "a.png")
    assert pages(tiny_bundle, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert not (tmp_path / "out").exists()


class Terminal(io.StringIO):
    """A stream that is taken for a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_bar_grows_on_a_terminal_and_is_silent_in_a_short_log() -> None:
    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        bar = _Bar(4, stream)
        for done in (0, 1.5, 3):
            bar.show(done, "name.png")
        bar.end(4)
    drawn_bars = [part.split("]")[0].count("#") for part in terminal.getvalue().split("\r\033[K[")[1:]]
    assert drawn_bars == [0, 11, 22]
    assert terminal.getvalue().endswith("4 of 4 files\n")
    assert log.getvalue() == ""


def test_output_folders_are_not_left_behind_where_nothing_could_be_read(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    assert pages(tiny_bundle, tmp_path / "bad.png", "--out", tmp_path / "out", "--formats", "pdf") == 2
    assert "0 pages" in capsys.readouterr().out
    assert not os.path.lexists(tmp_path / "out")
