"""What the page makes does not pile up."""

import os
from pathlib import Path

from serving.web.kept import KEPT_S, Kept


def test_what_was_kept_long_enough_is_removed_and_nothing_else(tmp_path: Path) -> None:
    now = tmp_path.stat().st_mtime
    kept = Kept(tmp_path, lambda: now)
    old, young = kept.new(), kept.new()
    for folder, age in ((old, KEPT_S + 1), (young, KEPT_S - 1)):
        (folder / "file").write_text("x")
        os.utime(folder, (now - age, now - age))
    newest = kept.new()
    assert sorted(tmp_path.iterdir()) == sorted([young, newest])
