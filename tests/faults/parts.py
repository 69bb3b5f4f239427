"""The parts of the loop that write, each as an act that can be killed, told again, and judged.

`Part.act` does the part's work in a folder and promises what it acknowledged; after a kill it is told again from
the start, as whoever got no answer does. `Part.judge` returns what is wrong then.
"""

import io
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw

from htr.bundle import Bundle, amend_bundle
from htr.correction_store import CorrectionStore, image_digest
from htr.corrections import Correction
from htr.importers.corrections import import_corrections
from htr.lines import LinesDataset
from htr.places import find_places
from htr.prediction_log import read_log
from htr.signing import make_keys, sign_bundle, verify_bundle
from monitoring.governor.journal import Journal, read_journal
from pipelines.fsck import check
from pipelines.local import point
from serving.log_writer import LogWriter
from tests.fakes import NOON, log_rows, profile_rows
from tests.faults.killing import Act
from tests.governor import FolderCluster, SetLabels, SetRegistry, WorldClock, alert, make_governor
from tests.governor_kills import POLICY, report, tell

NUM_CORRECTIONS = 6
DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the loop."""

    name: str
    act: Act
    judge: Callable[[Path, list[str]], Iterator[str]]
    """Folder and what was promised before the kill -> what is wrong after the part was told again."""
    prepare: Callable[[Path], None] = lambda folder: None
    """Makes what the part finds."""


@cache
def picture(number: int) -> bytes:
    image = Image.new("L", (120, 24), 235)
    ImageDraw.Draw(image).text((4, 4), f"line {number}", fill=20)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def correction(number: int) -> Correction:
    return Correction(
        id=f"c-{number}", time=NOON, author="Ada", model_version="1", bundle_digest=DIGEST, old_text="",
        new_text=f"line {number}", image_digest=image_digest(picture(number)),
    )  # fmt: skip


def faults(folder: Path) -> Iterator[str]:
    """What fsck finds."""
    places = find_places(folder)
    for one in check(places, folder, registry=False):
        if one.is_fault:
            yield f"{one.kind}: {one.place.relative_to(folder)}: {one.said}"


def correct(folder: Path, promise: Callable[[str], None]) -> None:
    store = CorrectionStore(folder / "corrections")
    for number in range(NUM_CORRECTIONS):
        store.add(correction(number), picture(number))
        promise(f"c-{number}")


def judge_corrections(folder: Path, promised: list[str]) -> Iterator[str]:
    found, _ = CorrectionStore(folder / "corrections").read()
    ids = [one.correction.id for one in found]
    if sorted(ids) != [f"c-{number}" for number in range(NUM_CORRECTIONS)]:
        yield f"stored are {ids}"
    if set(promised) - set(ids):
        yield f"acknowledged and lost: {set(promised) - set(ids)}"
    yield from faults(folder)


def learn(folder: Path, promise: Callable[[str], None]) -> None:
    out = folder / "datasets" / "key"
    if not out.exists():
        out.parent.mkdir(exist_ok=True)
        import_corrections(folder / "corrections", out)
    promise(LinesDataset.open(out).digest)


def judge_learnt(folder: Path, promised: list[str]) -> Iterator[str]:
    dataset = LinesDataset.open(folder / "datasets" / "key")
    if len(dataset) != NUM_CORRECTIONS:
        yield f"{len(dataset)} lines were learnt of {NUM_CORRECTIONS} corrections"
    if set(promised) - {dataset.digest}:
        yield "another dataset than was promised"
    yield from faults(folder)


def publish(bundle: Path) -> Act:
    def act(folder: Path, promise: Callable[[str], None]) -> None:
        out = folder / "published"
        if not out.exists():
            amend_bundle(Bundle.open(bundle), out, {}, metrics={"cer": 0.25})
        sign_bundle(out, folder / "keys" / "signing.key")
        promise(Bundle.open(out).digest)
        point(folder / "champion", str(out))
        promise("champion")

    return act


def judge_published(folder: Path, promised: list[str]) -> Iterator[str]:
    published = folder / "champion"
    if published.resolve() != (folder / "published").resolve():
        yield "champion points elsewhere"
    verify_bundle(published, folder / "keys" / "signing.pub")
    if set(promised) - {Bundle.open(published).digest, "champion"}:
        yield "another bundle than was promised"
    yield from faults(folder)


def write_log(folder: Path, promise: Callable[[str], None]) -> None:
    from htr.prediction_log import SCHEMA

    rows = log_rows(profile_rows(40, seed=1), bundle_digest=DIGEST).to_pylist()
    log = LogWriter(folder / "log", SCHEMA, what="prediction log", max_rows=1000, flush_s=0.01, flush_rows=5)
    for number, row in enumerate(rows):
        log.append([{**row, "request_id": f"r-{number}"}])
        if number % 5 == 4:
            time.sleep(0.002)
            promise(str(log.num_written))
    log.close()
    promise(str(log.num_written))


def judge_log(folder: Path, promised: list[str]) -> Iterator[str]:
    rows = read_log(folder / "log")
    least = 40 + max(map(int, promised), default=0)  # of the one that was killed, and all of the second
    if len(rows) < least:
        yield f"{len(rows)} rows, at least {least} were written"
    yield from (one for one in faults(folder) if not one.startswith("doubled"))  # told twice, logged twice


def govern(folder: Path, promise: Callable[[str], None]) -> None:
    with Journal(folder / "state").alone():  # as the command holds it
        tell(folder, kill_at=0)
    promise("told")


def judge_governor(folder: Path, promised: list[str]) -> Iterator[str]:
    told = report(folder, 0, was_killed=True)
    keys = told["keys"]
    assert isinstance(keys, list)
    if len(keys) != len(set(keys)):
        yield f"a training was started twice: {keys}"
    if told["gaps"]:
        yield "the journal has gaps"
    if set(keys) - set(told["decided"]):  # type: ignore[call-overload]
        yield "a training that nobody decided on"
    if any(run["state"] == "running" for run in FolderCluster(folder / "cluster").runs()):
        yield "a training was forgotten"
    yield from faults(folder)


def govern_by_jumping_clocks(folder: Path, promise: Callable[[str], None]) -> None:
    """Alerts, wishes and ends of trainings, while the wall clock is set forth and back by weeks."""
    rng = random.Random(folder.name)
    clock, labels, cluster = WorldClock(), SetLabels(count=5), FolderCluster(folder / "cluster")
    with Journal(folder / "state").alone():
        governor = make_governor(
            folder / "state", cluster, clock=clock, policy=POLICY, labels=labels, registry=SetRegistry()
        )
        for turn in range(60):
            clock.pass_by(900.0)
            clock.set_wall(timedelta(days=rng.choice((0, 0, 0, -400, -1, 1, 400))))
            if turn % 7 == 0:
                governor.take(alert(f"e{turn}"))
            labels.number += 1
            governor.turn()
            if turn % 5 == 4:
                cluster.end("succeeded", promoted=False)
    promise("told")


def judge_clock(folder: Path, promised: list[str]) -> Iterator[str]:
    records = read_journal(folder / "state")
    at = [record.at for record in records]
    if at != sorted(at):
        yield "the governor's own clock went back"
    begun = [record.at for record in records if record.decision.choice == "train"]
    for before, after in pairwise(begun):
        if after - before < POLICY.cooldown_hours * 3600:
            yield f"a training {after - before:.0f} s after the last one, within the cooldown"
    if len(begun) < 2:
        yield f"only {len(begun)} trainings: the clocks held the loop up"
    yield from judge_governor(folder, promised)


def with_corrections(folder: Path) -> None:
    correct(folder, lambda _: None)


def with_keys(folder: Path) -> None:
    make_keys(folder / "keys")


def parts(bundle: Path) -> list[Part]:
    """Return every part that is cheap to kill.

    Args:
        bundle: what is published.
    """
    return [
        Part(name="correction", act=correct, judge=judge_corrections),
        Part(name="dataset", act=learn, judge=judge_learnt, prepare=with_corrections),
        Part(name="publish", act=publish(bundle), judge=judge_published, prepare=with_keys),
        Part(name="log flush", act=write_log, judge=judge_log),
        Part(name="governor", act=govern, judge=judge_governor),
        Part(name="jumping clocks", act=govern_by_jumping_clocks, judge=judge_clock),
    ]
