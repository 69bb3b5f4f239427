import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.peers import reading


class Lines:
    """Answers the file's own name; drops the last line where it is told to."""

    parameters: int | None = 12

    def __init__(self, model: str, threads: int) -> None:
        self._drops = model == "drops"

    def read(self, files: Sequence[str], batch: int) -> Iterator[str]:
        for start in range(0, len(files), batch):
            yield from files[start : start + batch][: -1 if self._drops else None]


def ask(tmp_path: Path, model: str, threads: int = 1) -> dict[str, object]:
    passes = [{"files": ["a", "b", "c"], "batch": batch, "repeats": 2} for batch in (1, 16)]
    request, answer = tmp_path / "request.json", tmp_path / "answer.json"
    request.write_text(json.dumps({"model": model, "threads": threads, "passes": passes}))
    reading.main(Lines, [str(request), str(answer), str(tmp_path / "progress.json")])
    found: dict[str, object] = json.loads(answer.read_text())
    return found


@pytest.mark.parametrize("threads", [1, 4])
def test_every_pass_is_answered_with_its_texts_and_a_rate(tmp_path: Path, threads: int) -> None:
    answer = ask(tmp_path, "model", threads)
    assert answer["parameters"] == 12
    for found in answer["passes"]:  # type: ignore[attr-defined]
        assert found["texts"] == ["a", "b", "c"]  # once, though a large batch is timed on repeated files
        assert found["lines_per_s"] > 0


def test_a_reader_that_loses_a_line_fails_and_answers_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"read 0 texts from 6 files"):
        ask(tmp_path, "drops")
    assert not (tmp_path / "answer.json").exists()
