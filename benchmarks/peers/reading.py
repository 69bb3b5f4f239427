"""The timed reading, inside a peer's process: a request file in, texts and lines per second out.

A rate is taken from the moment the first batches are out (one for each thread) to the last line, so that loading
a model and building a graph cost nobody anything; opening and decoding the image files is part of reading.
Standard library only.

request    {"model": str, "threads": N, "passes": [{"files": [...], "batch": B, "repeats": R}, ...]}
answer     {"parameters": N or null, "passes": [{"texts": [...], "lines_per_s": rate}, ...]}
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peers.meter import tell


class Reader(Protocol):
    """A loaded model."""

    parameters: int | None
    """Trainable numbers of the network that reads, or None where nobody can tell."""

    def read(self, files: Sequence[str], batch: int) -> Iterator[tuple[str, str]]:
        """Yield every file with its text, in any order; so many lines go through the network at once."""


def main(load: Callable[[str, int], Reader], arguments: Sequence[str]) -> int:
    """Answer ``REQUEST ANSWER PROGRESS`` with what ``load(model, threads)`` reads."""
    request_file, answer_file, progress = (Path(argument) for argument in arguments)
    request = json.loads(request_file.read_text(encoding="utf-8"))
    reader = load(request["model"], request["threads"])
    answers = [_pass(reader, progress, threads=request["threads"], **one) for one in request["passes"]]
    answer = {"parameters": reader.parameters, "passes": answers}
    partial = answer_file.with_name(answer_file.name + ".partial")
    partial.write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")
    partial.replace(answer_file)
    return 0


def _pass(
    reader: Reader, progress: Path, *, threads: int, files: list[str], batch: int, repeats: int
) -> dict[str, Any]:
    """Read some files so many times; keep the texts of the first and the rate of the fastest."""
    first = batch * threads
    times = max(1, -(-4 * first // len(files)))
    rounds = [files * times] * repeats
    if times > 1:
        # Few lines and many threads: what is timed is read more than once, but texts are those of the lines as
        # they are, since a repeated line may stand beside itself in a batch.
        rounds.insert(0, files)
    found = [_round(reader, progress, shown, batch, first) for shown in rounds]
    texts = found[0][0]
    if missing := [file for file in files if file not in texts]:
        raise SystemExit(f"no text for {len(missing)} of {len(files)} files, {missing[0]} among them")
    return {"texts": [texts[file] for file in files], "lines_per_s": max(rate for _, rate in found[-repeats:])}


def _round(
    reader: Reader, progress: Path, files: list[str], batch: int, first: int
) -> tuple[dict[str, str], float]:
    """Read some files once; return their texts, and lines per second after so many first ones."""
    texts: dict[str, str] = {}
    began = told = time.monotonic()
    done = 0
    for done, (file, text) in enumerate(reader.read(files, batch), start=1):
        texts[file] = text
        now = time.monotonic()
        if done <= first:
            began = now
        elif now - told > 0.5:
            told = now
            rate = (done - first) / max(now - began, 1e-9)
            tell(progress, {"lines": done, "total": len(files), "lines_per_s": rate})
    if done != len(files):
        raise SystemExit(f"read {done} texts from {len(files)} files")
    return texts, max(0, done - first) / max(time.monotonic() - began, 1e-9)
