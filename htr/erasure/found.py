"""What an erasure found."""

from dataclasses import dataclass, field

from htr.published import Holding


@dataclass(kw_only=True)
class Found:
    """What is to be erased, or was."""

    corrections: int = 0
    images: int = 0
    """Rows of the image log."""
    rows: int = 0
    """Rows of the prediction log: a profile of each line, no text."""
    lines: int = 0
    """Lines of datasets."""
    requests: int = 0
    """Lines that people were asked to correct."""
    caches: int = 0
    """Files of decoded lines, which training makes again."""
    datasets: list[str] = field(default_factory=list)
    versions: list[Holding] = field(default_factory=list)
    """Published versions that held lines, and were erased as a whole."""
    learnt: list[str] = field(default_factory=list)
    """Digests of published bundles that learnt from those."""
    kept_by_bucket: bool = False
    """Whether the bucket keeps what is removed from it."""
    mentions: list[str] = field(default_factory=list)
    """Files that name a line and are not ours to change: reports, logs."""

    def total(self) -> int:
        """Return how much it is, files that only mention it aside."""
        versions = len(self.versions)
        return self.corrections + self.images + self.rows + self.lines + self.requests + self.caches + versions
