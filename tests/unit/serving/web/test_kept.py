"""What the page is given and makes does not pile up."""

import os
from pathlib import Path

from serving.web.kept import KEPT_S, SWEPT_S, Kept, keep_swept, sweep


def aged(path: Path, when: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (when, when))
    return path


def test_what_was_kept_long_enough_is_removed_and_nothing_else(tmp_path: Path) -> None:
    torn = aged(tmp_path / "files" / "tmp8x2", 99)  # an upload that broke off, which Gradio forgot
    old, young = (
        aged(tmp_path / "files" / "ab12" / "old.png", 99),
        aged(tmp_path / "files" / "cd34" / "new.png", 101),
    )
    made = aged(tmp_path / "made" / "x" / "old.txt", 99)
    sweep(tmp_path, 100)
    assert [one for one in (torn, old, young, made) if one.exists()] == [young]
    assert {one.name for one in tmp_path.iterdir()} == {"files", "made"}


def test_folders_that_have_been_empty_as_long_go_and_the_first_two_stay(tmp_path: Path) -> None:
    for folder in (tmp_path / "files" / "ab12", tmp_path / "made"):
        folder.mkdir(parents=True)
        os.utime(folder, (99, 99))
    fresh = Kept(tmp_path / "made").new()
    sweep(tmp_path, 100)
    assert not (tmp_path / "files" / "ab12").exists()
    assert fresh.is_dir()
    fresh.rmdir()
    sweep(tmp_path, 1e12)
    assert (tmp_path / "made").is_dir()


def test_it_is_swept_again_and_again_until_the_end(tmp_path: Path) -> None:
    file, waited = aged(tmp_path / "made" / "x" / "a.txt", 1000), []

    def wait(seconds: float) -> bool:
        waited.append((seconds, file.exists()))
        return len(waited) == 3

    ages = iter([KEPT_S - 1, KEPT_S + 1])
    keep_swept(tmp_path, lambda: 1000 + next(ages), wait)
    assert waited == [(SWEPT_S, True), (SWEPT_S, True), (SWEPT_S, False)]
