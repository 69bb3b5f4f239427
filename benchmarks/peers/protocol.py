"""What an adapter must do, and what it is given. Standard library only: peers' environments import it too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from benchmarks.peers.children import Children
    from benchmarks.peers.layout import Layout

PROJECT = Path(__file__).resolve().parents[2]
"""The folder that ``benchmarks`` lies in: what a peer's process finds its adapter by."""


class PeerError(Exception):
    """A peer cannot go on; the text is the reason that the table shows."""


class PeerAbsentError(PeerError):
    """A peer is not on this machine and was not meant to be put there by us; the table says skipped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What all peers share; results under other settings are never put into one table."""

    minutes: float = 18.0
    """Wall clock of one training, start of the program and validation included."""
    threads: int = 2
    """Processor cores that a peer may use at all; the children are pinned to so many."""
    seed: int = 1
    height: int = 48
    """Pixels; every line is scaled to it before any peer sees it, its aspect kept."""
    train_lines: int | None = None
    """At most so many, drawn by the seed; None is all."""
    val_lines: int | None = 300
    """Lines that checkpoints are chosen by; drawn by the seed."""
    test_lines: int | None = None
    validate_every: int = 2016
    """Training lines between two validations, where a peer can be told."""
    speed_lines: int = 200
    """Test lines that reading is timed on, spread evenly."""
    batches: tuple[int, ...] = (4, 16, 32)
    """Batch sizes tried with all cores, beside 1."""
    ours: tuple[str, ...] = ()
    """Further arguments of our own train command; none means its defaults."""
    compared_batch: int = 16
    """The batch size whose texts are compared with those of batch size 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What training left behind."""

    model: str
    """What the reader is to load: a path, or whatever the adapter understands."""
    bytes_on_disk: int
    """Of all that a user would have to ship to read with this model."""
    seconds: float | None = None
    """Wall clock of the training; None where nothing was trained."""
    lines_shown: int | None = None
    """Training lines, counting every repetition."""
    lines_per_s: float | None = None
    """While training; validation and saving excluded."""
    validation_cer: float | None = None
    """Of the checkpoint that was kept, as the peer itself counts it; a fraction."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Where a peer works, and with what."""

    folder: Path
    """The peer's own, empty before the first training."""
    environment: Path
    """Where its virtual environment lies, or shall be made."""
    layout: "Layout"
    settings: Settings
    children: "Children"


class Peer(Protocol):
    """One adapter.

    Any step may raise `PeerError`; the reason goes into the table.
    """

    name: str
    """Of the adapter; also of its folder and its column."""

    def fingerprint(self) -> str:
        """Return a digest of the adapter and its versions: a result is reused only under the same one."""

    def prepare(self, site: Site) -> str:
        """Make sure that the peer can run; return its version."""

    def train(self, site: Site) -> Trained:
        """Train within ``settings.minutes``, or say what there is to read with untrained."""

    def reader(self, site: Site) -> tuple[list[str], Mapping[str, str]]:
        """Return the command that `reading.main` answers, request and answer files to be added, and variables."""
