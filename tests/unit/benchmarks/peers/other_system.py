"""A recogniser that is not ours, small enough for tests: it answers every line with the commonest training text.

It runs as other people's systems do: in a process of its own that is given files and knows nothing of htr.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import reading
from benchmarks.peers.protocol import PeerError, Site, Trained


@dataclass
class OtherSystem:
    """Adapter of that recogniser; counts how often it was trained."""

    name: str = "other"
    digest: str = "1"
    broken_reader: bool = False
    train_error: str = ""
    trainings: int = 0

    def fingerprint(self) -> str:
        return self.digest

    def prepare(self, site: Site) -> str:
        return "9.1"

    def train(self, site: Site) -> Trained:
        self.trainings += 1
        if self.train_error:
            raise PeerError(self.train_error)
        texts = [
            Path(file).with_suffix(".gt.txt").read_text(encoding="utf-8").strip() for file in self._files(site)
        ]
        model = site.folder / "model.json"
        model.write_text(json.dumps(Counter(texts).most_common(1)[0][0]), encoding="utf-8")
        return Trained(
            model=str(model),
            bytes_on_disk=model.stat().st_size,
            seconds=65.0,
            lines_shown=len(texts),
            lines_per_s=123.0,
            notes=["knows one text"],
        )

    def reader(self, site: Site) -> tuple[list[str], Mapping[str, str]]:
        told = ["--broken"] if self.broken_reader else []
        return [sys.executable, "-P", str(Path(__file__)), *told], {}

    @staticmethod
    def _files(site: Site) -> list[str]:
        return site.layout.list_file("train").read_text(encoding="utf-8").splitlines()


class Parrot:
    """Says its text; in batches above one it shouts, as a reader does whose padding reaches its lines."""

    def __init__(self, model: str, threads: int) -> None:
        self._text = json.loads(Path(model).read_text(encoding="utf-8"))
        self.parameters: int | None = len(self._text)

    def read(self, files: Sequence[str], batch: int) -> Iterator[tuple[str, str]]:
        for file in files:
            assert Path(file).read_bytes().startswith(b"\x89PNG")
            yield file, self._text if batch == 1 else self._text.upper()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--broken"]:
        sys.exit("Parrot: cannot open model")
    sys.exit(reading.main(Parrot, sys.argv[1:]))
