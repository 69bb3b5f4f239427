"""The loop at work for an hour: is everything written, and nothing growing that should not?

    python -m benchmarks.soak --minutes 60 --lines DATASET --out soak.json --figure soak.png

A model server reads lines at a modest rate, keeps rows and a tenth of the images, and takes corrections; a
governor takes alarms over them and chooses lines to be corrected; drift is looked for every few minutes, and the
figures of both are fetched as Prometheus does. Exit code 1: something grew, or was lost or doubled. Where memory,
handles and threads go, `cannot tell` is a failure of an hour and none of a short soak; times are told in
multiples of a fixed piece of work, since others may be at work on the machine.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

from benchmarks.soak.findings import minutes, told, trends
from benchmarks.soak.services import IMAGE_SHARE, Services, services
from benchmarks.soak.traffic import Asked, Traffic, yardstick
from benchmarks.soak.watching import Every, Watch
from htr.correction_store import CorrectionStore
from htr.image_log import read_images
from htr.lines import LinesDataset
from htr.places import find_places
from htr.prediction_log import read_log
from htr.pretrained import PRETRAINED, resolve
from htr.synthesis import write_dataset
from pipelines.fsck import check
from serving.prediction_log import LogPolicy, PredictionLog

FORMAT_VERSION = 1
LONG_MIN = 30.0
"""From here on it is a failure where it cannot be told whether what is held grew."""
HELD = ("rss_mib", "files", "threads")


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print JSON; return 1 where something is not as it must be."""
    args = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="quillflow-soak-") as name:
        folder = Path(name)
        images, texts = _lines(args, folder)
        with services(folder / "world", resolve(args.bundle), threads=args.threads) as running:
            facts, asked = soak(running, images, texts, args)
        facts["checks"] |= _checks(running, asked)
    for what, one in facts["trends"].items():
        must_tell = args.minutes >= LONG_MIN and what.endswith(HELD)
        facts["checks"][f"{what} is flat"] = one["verdict"] == "flat" or (
            not must_tell and one["verdict"] == "cannot tell"
        )
    if args.out:
        args.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    if args.figure:
        from benchmarks.soak.figure import draw

        draw(facts, args.figure)
    _show(facts)
    return 0 if all(facts["checks"].values()) else 1


def soak(
    running: Services, images: list[bytes], texts: list[str], args: argparse.Namespace
) -> tuple[dict[str, Any], list[Asked]]:
    """Have the services work for so many minutes; return what was measured, and every request."""
    begun = time.monotonic()
    seconds = args.minutes * 60
    piece_s = min(60.0, max(2.0, seconds / 40))
    numbers = count()
    look_s = min(5.0, piece_s / 4)
    watch = Watch({"server": running.server.pid, "governor": running.governor.pid}, look_s, begun)
    work = Every(min(2.0, piece_s / 5), yardstick, begun)
    scrapes = Every(15.0, running.scrape, begun)
    alarms = Every(max(5.0, seconds / 20), lambda: running.alarm(next(numbers)), begun)
    disk = Every(piece_s, running.disk, begun)
    load = Every(piece_s, os.getloadavg, begun)
    traffic = Traffic(
        running.server_url, images, texts, per_second=args.rate, correct_every=args.correct_every, begun=begun,
        seed=args.seed,
    )  # fmt: skip
    traffic.run(min(seconds, 110 / args.rate))  # so that there is something to look for drift in
    drift = Every(max(20.0, seconds / 12), lambda: running.check(args.newest), begun)
    with watch, work, scrapes, alarms, disk, load, drift:
        traffic.run(seconds)
    rows = minutes(traffic.asked, watch.samples, work.done, piece_s)  # type: ignore[arg-type]
    statuses = Counter(f"{one.what} {one.status}" for one in traffic.asked)
    ended = [running.server, running.governor]
    alive = all(process.poll() is None for process in ended)
    for process in ended:
        process.terminate()
    codes = [process.wait(timeout=60) for process in ended]
    facts: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "minutes": args.minutes,
        "rate": args.rate,
        "statuses": dict(sorted(statuses.items())),
        "load": [round(one[0], 2) for _, one in load.done],  # type: ignore[index]
        "alarms": dict(Counter(str(one) for _, one in alarms.done)),
        "errors": traffic.errors,
        "piece_s": piece_s,
        "scrapes": len(scrapes.done),
        "drift_checks": [one for _, one in drift.done],
        "disk": [{"at_min": round(at / 60, 3), **one} for at, one in disk.done],  # type: ignore[dict-item]
        "rows": [_rounded(vars(row)) for row in rows],
        "trends": told(trends(rows)),
        "checks": {
            "no client was cut off": not traffic.errors,
            "every line was read": statuses["line 200"] == sum(one.what == "line" for one in traffic.asked),
            "every correction was taken": set(statuses) <= {"line 200", "correction 201"},
            "both lived to the end and stopped in order": alive and codes == [0, 0],
            "drift was looked for, and alarms were taken in": bool(drift.done) and bool(alarms.done),
        },
    }
    return facts, traffic.asked


def _checks(running: Services, asked: Sequence[Asked]) -> dict[str, bool]:
    """Compare what lies on the disk with what was answered."""
    read = sorted(one.request_id for one in asked if one.what == "line" and one.status == 200)
    corrected = sorted(one.request_id for one in asked if one.what == "correction" and one.status == 201)
    rows = sorted(read_log(running.log).column("request_id").to_pylist())
    with tempfile.TemporaryDirectory() as empty:
        log = PredictionLog(Path(empty), policy=LogPolicy(image_share=IMAGE_SHARE))
        sampled = [one for one in read if log.samples(one)]
        log.close()
    kept = sorted(one.request_id for one in read_images(running.log))
    stored = sorted(one.correction.id for one in CorrectionStore(running.corrections).read()[0])
    faults = [one for one in check(find_places(running.folder), running.folder, registry=False) if one.is_fault]
    for one in faults:
        print(f"fsck: {one.kind}: {one.said}", file=sys.stderr)
    return {
        "the log's rows are the lines that were answered": rows == read,
        "the images kept are those of the sampled requests": kept == sampled,
        "the corrections stored are those acknowledged": stored == corrected,
        "fsck finds no fault": not faults,
    }


def _lines(args: argparse.Namespace, folder: Path) -> tuple[list[bytes], list[str]]:
    if args.lines is None:
        write_dataset(folder / "lines", num_lines=200, num_writers=8, seed=args.seed)
    dataset = LinesDataset.open(args.lines or folder / "lines")
    found = list(islice(dataset.lines(args.split), args.num_lines))
    if not found:
        raise SystemExit(f"error: {args.lines}: no lines in split {args.split}; choose another --split")
    return [line.image for line in found], [line.text for line in found]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def _show(facts: dict[str, Any]) -> None:
    print(f"{'':18} {'median':>9} {'growth':>8}  {'95 % of it':>18} {'let be':>8}")
    for name, one in facts["trends"].items():
        interval = f"{one['low']:.2f} to {one['high']:.2f}"
        grew = f"{one['median']:9.2f} {one['growth']:8.2f}  {interval:>18} {one['most']:8.2f}"
        print(f"{name:18} {grew}  {one['verdict']}")
    print(f"requests {facts['statuses']}, alarms {facts['alarms']}, drift checks {len(facts['drift_checks'])}")
    for name, holds in facts["checks"].items():
        if not holds:
            print(f"NOT SO: {name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python -m benchmarks.soak"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="lines a second (default: %(default)s)")
    parser.add_argument("--correct-every", type=int, default=20, help="of so many lines one is corrected")
    parser.add_argument("--newest", type=int, default=2000, help="readings that are looked for drift in")
    parser.add_argument("--bundle", default=PRETRAINED, help="default: the model that ships")
    parser.add_argument("--lines", type=Path, help="lines dataset (default: invented writers)")
    parser.add_argument("--split", help="default: all")
    parser.add_argument("--num-lines", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2, help="of the server (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE", help="everything measured, as JSON")
    parser.add_argument("--figure", type=Path, metavar="PNG")
    return parser


if __name__ == "__main__":
    sys.exit(main())
