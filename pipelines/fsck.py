"""Everything below a folder -> what is wrong with it: ``python -m pipelines fsck --root runs/latest``.

Formats are known by their files, wherever below the folder they lie: bundles, lines datasets, stores of
corrections, prediction logs, journals of the governor, MLflow databases. Each is checked by itself, and then what
points from one to another: aliases to bundles, decisions to causes, trainings to decisions, corrections to lines.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from htr.errors import QuillflowError
from htr.labelling import read_request
from htr.lines import ASKED_FOR, CORRECTIONS, LinesDataset
from htr.places import Places
from htr.soundness import (
    Finding,
    check_bundle,
    check_corrections,
    check_learnt,
    check_lines,
    check_log,
    check_unfinished,
)
from htr.versions import VersionStore
from monitoring.decisions import DecisionLog
from monitoring.governor.events import Record
from monitoring.governor.journal import FILE as JOURNAL
from monitoring.governor.journal import read_journal
from monitoring.governor.local_child import BEGAN
from monitoring.governor.state import fold

GUARD_LOG = "decisions.jsonl"


def check(
    places: Places, root: Path, *, public_key: Path | None = None, registry: bool = True
) -> Iterator[Finding]:
    """Yield what is wrong, oldest part of the loop first.

    Args:
        places: what to look at.
        root: where to look for what was left half-written.
        public_key: bundles that aliases point to must be signed with it.
        registry: whether to ask MLflow databases, which takes seconds.
    """
    for folder in places.bundles:
        yield from check_bundle(folder)
    for folder in places.lines:
        yield from check_lines(folder)
    for folder in places.corrections:
        yield from check_corrections(folder)
    if len(places.corrections) == 1:
        yield from check_learnt(places.corrections[0], made_from_corrections(places.lines))
    for folder in places.logs:
        yield from check_log(folder)
    for folder in places.journals:
        yield from check_journal(folder)
    for folder in places.decisions:
        yield from check_decisions(folder)
    for link in places.links:
        if not link.exists():
            yield Finding(place=link, kind="dangling", said=f"points to {link.readlink()}, which is not there")
    if registry and places.registries:
        from pipelines.fsck_registry import check_registry  # MLflow takes seconds to import

        for database in places.registries:
            yield from check_registry(f"sqlite:///{database.resolve()}", public_key)
    yield from check_unfinished(root)


def check_store(store: VersionStore, *, deep: bool = False) -> Iterator[Finding]:
    """Yield what is wrong with a store of versions.

    Raises:
        StoreError: it is away or refuses.
    """
    for one in store.check(deep=deep):
        yield Finding(place=f"{store.uri}/{one.key}", kind=one.kind, said=one.said)


def made_from_corrections(datasets: Iterable[Path]) -> list[Path]:
    """Return the datasets that hold corrections and nothing else, oldest first."""
    found = []
    for folder in datasets:
        try:
            sources = set(LinesDataset.open(folder).info.counts["source"])
        except (QuillflowError, KeyError):
            continue
        if sources and sources <= {CORRECTIONS, ASKED_FOR}:
            found.append(folder)
    return sorted(found, key=lambda folder: (folder / "dataset.json").stat().st_mtime_ns)


def check_journal(folder: Path) -> Iterator[Finding]:
    """Find out whether every decision has its cause, and everything that was done its decision."""
    try:
        records = read_journal(folder)
        state = fold(records)
    except (QuillflowError, ValueError) as error:
        yield Finding(place=folder / JOURNAL, kind="damaged", said=str(error))
        return
    decided: dict[str, Record] = {}
    started: dict[str, str] = {}
    for record in records:
        for said in _uncaused(record, decided, started):
            yield Finding(place=folder / JOURNAL, kind="uncaused", said=f"record {record.seq}: {said}")
        if record.decision.choice == "train":
            decided[record.decision.key] = record
        if record.event.KIND == "started":
            started[record.event.key] = record.event.run_id  # type: ignore[union-attr]  # Started has both
    for run in (folder / "runs").glob(f"*/{BEGAN}"):
        if run.parent.name not in decided:
            yield Finding(place=run.parent, kind="uncaused", said="a training that nobody decided on")
    for record in records:
        if record.decision.choice == "ask_for_labels" and not (
            state.labelling and state.labelling.seq == record.seq
        ):
            try:
                if read_request(folder, record.seq) is None and (folder / "labelling").is_dir():
                    said = f"record {record.seq} asked for labels; dealt with before a request could be written"
                    yield Finding(place=folder / "labelling", kind="unfinished", said=said)
            except QuillflowError as error:
                yield Finding(place=folder / "labelling", kind="damaged", said=str(error))


def check_decisions(folder: Path) -> Iterator[Finding]:
    """Find out whether every decision of the retrain guard says what asked for it, and why."""
    try:
        history = DecisionLog(folder).read()
    except QuillflowError as error:
        yield Finding(place=folder / GUARD_LOG, kind="damaged", said=str(error))
        return
    for number, decision in enumerate(history.decisions, start=1):
        if not decision.cause or not decision.reason:
            said = f"decision {number} ({decision.decision}) has no cause or no reason"
            yield Finding(place=folder / GUARD_LOG, kind="uncaused", said=said)
    for number in history.skipped:
        yield Finding(place=folder / GUARD_LOG, kind="unfinished", said=f"line {number} is half-written")


def _uncaused(record: Record, decided: dict[str, Record], started: dict[str, str]) -> Iterator[str]:
    decision, event = record.decision, record.event
    if decision.choice in {"train", "ask_for_labels", "roll_back"} and not decision.reason:
        yield f"{decision.choice} without a reason"
    if decision.choice == "train" and (not decision.key or decision.key in decided):
        yield f"training {decision.key!r} was decided on before"
    key = getattr(event, "key", None)
    if key is not None and key not in decided:
        yield f"{event.KIND}: nobody decided on training {key!r}"
    if event.KIND == "started" and started.get(key or "", event.run_id) != event.run_id:  # type: ignore[union-attr]
        yield f"training {key!r} was started twice, as {started[key or '']} and as {event.run_id}"  # type: ignore[union-attr]
