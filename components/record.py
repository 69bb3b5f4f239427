"""What a training has told so far, kept beside its checkpoint: a run that resumes goes on in the same record."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(kw_only=True)
class Record:
    """The MLflow run and the epochs of one training, in a file of the work folder."""

    file: Path
    run_id: str = ""
    """"" until MLflow has given one."""
    epochs: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def of(cls, work: Path, dataset_digest: str, settings: Mapping[str, Any], base_digest: str) -> "Record":
        """Open the record of a training with these inputs, or begin one."""
        key = json.dumps([dataset_digest, dict(settings), base_digest], sort_keys=True)
        file = work / f"record-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        if file.is_file():
            return cls(file=file, **json.loads(file.read_text(encoding="utf-8")))
        return cls(file=file)

    def begin(self, run_id: str) -> None:
        """Note the MLflow run."""
        self.run_id = run_id
        self._write()

    def add(self, metrics: dict[str, float]) -> None:
        """Note an epoch; one that is run again after a kill replaces what it said before."""
        self.epochs = [known for known in self.epochs if known["epoch"] != metrics["epoch"]] + [metrics]
        self._write()

    def _write(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps({"run_id": self.run_id, "epochs": self.epochs}), encoding="utf-8")
        partial.replace(self.file)
