import os
import signal
from pathlib import Path

import pytest

from htr.errors import OutputError
from htr.making import partial_folder


def test_a_folder_is_made_aside_and_nothing_is_left_of_one_that_failed(tmp_path: Path) -> None:
    with partial_folder(tmp_path / "new" / "one") as partial:
        (partial / "file").write_text("x")
        partial.replace(tmp_path / "new" / "one")
    with pytest.raises(ValueError, match="half"), partial_folder(tmp_path / "new" / "two") as partial:
        raise ValueError("half way")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one"]


def test_a_second_one_at_the_same_time_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    with partial_folder(tmp_path / "one") as partial:
        (partial / "file").write_text("x")
        with pytest.raises(OutputError, match="another process is writing it"), partial_folder(tmp_path / "one"):
            pass
        assert (partial / "file").exists()


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with partial_folder(tmp_path / "one") as partial:
            (partial / "inner").mkdir()
            (partial / "inner" / "file").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / ".one.partial" / "inner" / "file").exists()
    with partial_folder(tmp_path / "one") as partial:
        assert list(partial.iterdir()) == []


def test_the_next_ones_folder_is_not_swept_away_by_who_was_done(tmp_path: Path) -> None:
    with partial_folder(tmp_path / "one") as partial:
        partial.replace(tmp_path / "one")
        partial.mkdir()  # somebody else's by now
        (partial / "file").write_text("x")
    assert (partial / "file").exists()
