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

    def read(self, files: Sequence[str], batch: int) -> Iterator[str]:
        """Yield the texts in order; so many lines go through the network at once."""


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
    # Few lines and many threads: read some twice, so that what is timed is more than the first batches.
    shown = files * max(1, -(-4 * first // len(files)))
    texts: list[str] = []
    rates: list[float] = []
    for _ in range(repeats):
        found: list[str] = []
        began = told = time.monotonic()
        for text in reader.read(shown, batch):
            found.append(text)
            now = time.monotonic()
            if len(found) <= first:
                began = now
            elif now - told > 0.5:
                told = now
                rate = (len(found) - first) / max(now - began, 1e-9)
                tell(progress, {"lines": len(found), "total": len(shown), "lines_per_s": rate})
        if len(found) != len(shown):
            raise SystemExit(f"read {len(found)} texts from {len(shown)} files")
        rates.append((len(shown) - first) / max(time.monotonic() - began, 1e-9))
        texts = texts or found[: len(files)]
    return {"texts": texts, "lines_per_s": max(rates)}
