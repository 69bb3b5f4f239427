"""What one training elsewhere is to do, and what came of it: two JSON texts, by way of a job and of the store.

    QUILLFLOW_TRAINING                             the order, in the job's environment
    STORE/checkpoints/trained-KEY/newest.json      the result, there once the bundle is in the store

The same order has the same key, which names job and result: asked for again, it is the same training.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from htr.checkpoint_store import CheckpointStore
from htr.errors import AlteredError, SettingsError

FORMAT_VERSION = 1
VARIABLE = "QUILLFLOW_TRAINING"
_FILE = "result.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A training whose inputs lie in a store of versions."""

    lines: str
    """Address of the lines dataset's version."""
    base: str
    """Address of the bundle to start from, "" for none."""
    settings: Mapping[str, Any]
    """As `htr.settings` takes them."""
    git_commit: str

    @property
    def key(self) -> str:
        """Return 16 hex digits that stand for all of it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return the order as a job gets it; equal orders are equal texts."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Order":
        """Read what `to_json` wrote.

        Raises:
            SettingsError: it is none, or of another format version.
        """
        try:
            found = json.loads(text)
            version = found.pop("format_version")
            if version != FORMAT_VERSION:
                raise SettingsError(f"{VARIABLE}: format version {version}, this image reads {FORMAT_VERSION}")
            return cls(**found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(
                f"{VARIABLE}: no order of a training ({error!r}); the train step sets it"
            ) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of a training elsewhere: fields as of `htr.train.TrainResult`, and the curves."""

    bundle: str
    """Address of its version in the store."""
    curves: list[dict[str, float]]
    """``epoch`` and its metrics, one an epoch."""
    epochs: int
    validation_cer: float
    lines: dict[str, int]
    resumed_at_epoch: int
    loader_share: float
    train_ids: list[str]
    excluded: list[tuple[str, str]]


def write_result(store: str, key: str, result: Result) -> None:
    """Put a result into a store; to be done when the bundle is there.

    Raises:
        StoreError: the store is away or refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / _FILE).write_text(result_to(result), encoding="utf-8")
        _place(store, key).send(Path(folder))


def read_result(store: str, key: str) -> Result | None:
    """Return the result of an order, None where there is none yet.

    Raises:
        StoreError: the store is away or refuses.
        AlteredError: it is not what was written.
    """
    with tempfile.TemporaryDirectory() as folder:
        if not _place(store, key).bring(Path(folder)):
            return None
        text = (Path(folder) / _FILE).read_text(encoding="utf-8")
    place = f"{store}/checkpoints/trained-{key}"
    try:
        return result_from(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AlteredError(f"{place}: no result of a training ({error}); remove it, and train again") from error


def result_to(result: Result) -> str:
    """Return a result as it lies in the store."""
    return json.dumps({"format_version": FORMAT_VERSION, **asdict(result)})


def result_from(text: str) -> Result:
    """Read what `result_to` wrote.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is none, or of another format version.
    """
    found = json.loads(text)
    if (version := found.pop("format_version")) != FORMAT_VERSION:
        raise ValueError(f"format version {version}, this release reads {FORMAT_VERSION}")
    excluded = [(line_id, reason) for line_id, reason in found.pop("excluded")]
    return Result(**found, excluded=excluded)


def _place(store: str, key: str) -> CheckpointStore:
    return CheckpointStore(address=store, key=f"trained-{key}", names=(_FILE,))
