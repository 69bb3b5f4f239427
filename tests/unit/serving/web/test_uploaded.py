"""Which files a button of the page takes, by the path that a browser names."""

from pathlib import Path

import pytest

from serving.web.uploaded import is_uploaded, named_files


def test_paths_are_found_at_any_depth() -> None:
    sent = [None, {"path": "a", "meta": {}}, [{"value": [{"path": "b"}]}], {"path": {"path": "c"}}, "path"]
    assert named_files(sent) == ["a", "b", {"path": "c"}, "c"]


@pytest.mark.parametrize(
    "name",
    [
        "other/file",
        "uploads/../other/file",
        "uploads/link",
        "uploads/loop",
        "uploads2/file",
        "http://127.0.0.1/x",
        "x\0",
    ],
)
def test_what_lies_elsewhere_is_not_uploaded(tmp_path: Path, name: str) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (uploads / "link").symlink_to(tmp_path / "other")
    (uploads / "loop").symlink_to(uploads / "loop")
    assert not is_uploaded(f"{tmp_path}/{name}", uploads)
    assert not is_uploaded(name, uploads)


def test_what_was_uploaded_is_taken_and_no_path_at_all_refused(tmp_path: Path) -> None:
    assert is_uploaded(str(tmp_path / "ab12" / "page.png"), tmp_path)
    assert not any(is_uploaded(path, tmp_path) for path in (None, 7, ["x"], {"path": "x"}))
