import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.peers import reading


class Lines:
    """Answers the file's own name in capitals, last file first; drops a line where it is told to."""

    parameters: int | None = 12

    def __init__(self, model: str, threads: int) -> None:
        self._drops = model == "drops"

    def read(self, files: Sequence[str], batch: int) -> Iterator[tuple[str, str]]:
        for file in list(reversed(files))[int(self._drops) :]:
            yield file, file.upper()


def ask(tmp_path: Path, model: str, threads: int = 1, reader: type[Lines] = Lines) -> dict[str, object]:
    passes = [{"files": ["a", "b", "c"], "batch": batch, "repeats": 2} for batch in (1, 16)]
    request, answer = tmp_path / "request.json", tmp_path / "answer.json"
    request.write_text(json.dumps({"model": model, "threads": threads, "passes": passes}))
    reading.main(reader, [str(request), str(answer), str(tmp_path / "progress.json")])
    found: dict[str, object] = json.loads(answer.read_text())
    return found


@pytest.mark.parametrize("threads", [1, 4])
def test_every_pass_is_answered_with_its_texts_and_a_rate(tmp_path: Path, threads: int) -> None:
    answer = ask(tmp_path, "model", threads)
    assert answer["parameters"] == 12
    for found in answer["passes"]:  # type: ignore[attr-defined]
        assert found["texts"] == [
            "A",
            "B",
            "C",
        ]  # in our order, and once
        assert found["lines_per_s"] > 0


class Neighbours(Lines):
    """Answers how often a line's file occurs among those that are read together with it."""

    def read(self, files: Sequence[str], batch: int) -> Iterator[tuple[str, str]]:
        for start in range(0, len(files), batch):
            group = files[start : start + batch]
            yield from ((file, str(group.count(file))) for file in group)


def test_texts_are_never_those_of_a_line_beside_itself(tmp_path: Path) -> None:
    answer = ask(tmp_path, "model", 4, Neighbours)
    for found in answer["passes"]:  # type: ignore[attr-defined]
        assert found["texts"] == ["1", "1", "1"]


def test_a_reader_that_loses_a_line_fails_and_answers_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"read 2 texts from 3 files"):
        ask(tmp_path, "drops")
    assert not (tmp_path / "answer.json").exists()
