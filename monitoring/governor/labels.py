"""Corrected lines: how many there are, and a dataset of them for one training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from htr.corrected_lines import CorrectedLines
from htr.errors import OutputError
from htr.importers.corrections import import_corrections
from htr.lines import LinesDataset
from htr.versions import VersionStore
from monitoring.governor.events import Labels


class LabelSource(Protocol):
    """Where corrected lines come from."""

    def count(self) -> Labels:
        """Return how many corrected lines there are, and a digest of them.

        Raises:
            DataError: what is there cannot be read.
        """

    def dataset(self, key: str) -> Path | str | None:
        """Return a lines dataset of them for the training of that key: a folder, or a version's address.

        None where there are none.

        Raises:
            DataError: what is there cannot be read.
            ServiceError: the store of versions is away or refuses.
        """


@dataclass(frozen=True, kw_only=True)
class DatasetLabels:
    """A lines dataset of corrections that somebody else makes and replaces."""

    folder: Path

    def count(self) -> Labels:
        """Return how many lines it has; none where it is not there yet."""
        if not self.folder.exists():
            return Labels(count=0, digest="")
        dataset = LinesDataset.open(self.folder)
        return Labels(count=len(dataset), digest=dataset.digest)

    def dataset(self, key: str) -> Path | None:
        """Return the dataset itself."""
        return self.folder.absolute() if self.folder.exists() else None


@dataclass(frozen=True, kw_only=True)
class StoreLabels:
    """The store that the server keeps corrections in; each training gets a dataset made from it, which stays."""

    lines: CorrectedLines
    """Asked every few seconds, of a store that may hold years of work."""
    out: Path
    """Datasets are made below it; the pipeline's steps must be able to read there."""

    def count(self) -> Labels:
        """Return how many lines were corrected and not withdrawn."""
        count, digest = self.lines.count()
        return Labels(count=count, digest=digest)

    def dataset(self, key: str) -> Path | None:
        """Make the dataset of one training, unless it was made before."""
        out = self.out.absolute() / key
        if not self.count().count:
            return None
        if not out.exists():
            try:
                self.out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{self.out}: cannot be written ({error.strerror})") from error
            import_corrections(self.lines.folder, out)
        return out


@dataclass(frozen=True, kw_only=True)
class PublishedLabels:
    """Corrected lines whose datasets are published, for trainings that run where the governor's disk is not."""

    lines: LabelSource
    store: VersionStore
    name: str = "corrections"
    """What the newest of them goes by in the store."""

    def count(self) -> Labels:
        """Return how many lines there are; the store is not asked."""
        return self.lines.count()

    def dataset(self, key: str) -> str | None:
        """Publish the dataset of a training, unless the store has it, and return its address, by digest."""
        folder = self.lines.dataset(key)
        return None if folder is None else self.store.publish("lines", self.name, folder).uri
