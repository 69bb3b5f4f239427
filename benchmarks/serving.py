"""What serving costs: our model server beside a plain FastAPI, beside no server and beside Tesseract's command.

    python -m benchmarks.serving [--bundle DIR] [--lines DATASET] [--seconds 5] [--concurrency 1,2,4,8]
    python -m benchmarks.serving --soak 10 --rate 1.5

All three read the same lines with the same recogniser and as many threads; only ratios are worth comparing between
machines. The soak sends more than the server can read, for minutes, and fails unless it refuses politely, answers
the rest in time, keeps its memory, and logs every line that it answered. Everything is printed as JSON at the end.
"""

import argparse
import base64
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving_bare import in_processes, in_threads
from benchmarks.serving_load import Answer, Client, closed_loop, percentile, statuses
from benchmarks.serving_soak import soak
from benchmarks.serving_targets import Target, plain, served
from benchmarks.tesseract_cli import tesseract
from htr.lines import LinesDataset
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser
from htr.synthesis import write_dataset

OVERHEAD_ROUNDS = 3
"""Times that each line is read here and then over HTTP; the faster reading and the faster request count."""


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What is sent."""

    images: list[bytes]

    def bodies(self, target: Target) -> list[bytes]:
        """Return one request a line, as a target wants it."""
        texts = [base64.b64encode(image).decode() for image in self.images]
        if target.name == "plain":
            return [json.dumps({"images": [text]}).encode() for text in texts]
        return [json.dumps({"instances": [{"image": {"b64": text}}]}).encode() for text in texts]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print; return 1 where a text or a check of the soak is not as it must be."""
    args = _parser().parse_args(argv)
    threads = args.threads or len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        place, bundle = Path(folder), resolve(args.bundle)
        lines, recogniser = Lines(images=_images(args, place)), Recogniser.load(bundle)
        expected = [reading.text for reading in recogniser.read(lines.images)]
        facts: dict[str, Any] = {"bundle": recogniser.digest, "lines": len(lines.images), "threads": threads}
        if args.soak:
            with served(bundle, place / "soak", threads=threads) as target:
                facts["soak"] = soak(
                    target, lines.bodies(target), minutes=args.soak, rate=args.rate, seed=args.seed,
                    calibrate_s=args.seconds, log=place / "soak" / "log",
                )  # fmt: skip
            passed = all(facts["soak"]["checks"].values())
        else:
            counts = [int(text) for text in args.concurrency.split(",")]
            with (
                served(
                    bundle, place / "served", threads=threads, queue=max(counts), options=args.served_option
                ) as ours,
                plain(bundle, place / "plain", threads=threads) as peer,
            ):
                facts["overhead_ms"] = {
                    target.name: overhead_ms(target, lines, recogniser) for target in (ours, peer)
                }
                facts["throughput"], answers = _throughput(
                    (ours, peer), lines, recogniser, counts=counts, threads=threads, seconds=args.seconds
                )
            facts["tesseract_cli"] = tesseract(lines.images, at_once=threads, seconds=args.seconds)
            facts["texts_that_differ"] = differing(answers, expected)
            passed = facts["texts_that_differ"] == 0
    print(json.dumps(facts, indent=2))
    return 0 if passed else 1


def overhead_ms(target: Target, lines: Lines, recogniser: Recogniser) -> dict[str, float]:
    """Return what a request costs beyond the reading, one at a time, line by line: median and 99th percentile."""
    client, costs = Client(target.url, target.path), []
    for at, (image, body) in enumerate(zip(lines.images, lines.bodies(target), strict=True)):
        here, there = [], []
        for _ in range(OVERHEAD_ROUNDS):
            started = time.perf_counter()
            recogniser.read([image])
            here.append(time.perf_counter() - started)
            there.append(client.send(body, at).seconds)
        costs.append((min(there) - min(here)) * 1e3)
    client.close()
    costs.sort()
    return {
        "p50": round(statistics.median(costs), 3),
        "p99": round(costs[min(len(costs) - 1, int(0.99 * len(costs)))], 3),
    }


def _throughput(
    targets: Sequence[Target],
    lines: Lines,
    recogniser: Recogniser,
    *,
    counts: Sequence[int],
    threads: int,
    seconds: float,
) -> tuple[list[dict[str, Any]], list[Answer]]:
    """Measure every target at every number of clients, one after another, beside reading without a server."""
    rows, kept = [], []
    print(
        "clients  lines/s here  process a core  served (share)  plain (share)  p50 ms served, plain  p99 ms"
        "  processor ms (here)"
    )
    for count in counts:
        here, here_ms = in_threads(recogniser, lines.images, count=min(count, threads), seconds=seconds)
        each = in_processes(recogniser.bundle.path, lines.images, count=min(count, threads), seconds=seconds)
        row: dict[str, Any] = {
            "clients": count,
            "in_process": {"lines_per_s": round(here, 1), "processor_ms_per_line": round(here_ms, 2)},
            "process_a_core": {"lines_per_s": round(each, 1)},
        }
        for target in targets:
            used = target.processor_s()
            answers, took = closed_loop(
                target.url, target.path, lines.bodies(target), num_clients=count, seconds=seconds
            )
            used = (target.processor_s() - used) / len(answers) * 1e3
            good = [answer for answer in answers if answer.status == 200]
            row[target.name] = {
                "lines_per_s": round(len(good) / took, 1),
                "share_of_in_process": round(len(good) / took / here, 3),
                "share_of_process_a_core": round(len(good) / took / each, 3),
                "processor_ms_per_line": round(used, 2),
                "processor_over_in_process": round(used / here_ms, 2),
                "p50_ms": round(percentile(good, 0.5) * 1e3, 1),
                "p99_ms": round(percentile(good, 0.99) * 1e3, 1),
                "statuses": statuses(answers),
            }
            kept += good
        row["served_over_plain"] = round(row["served"]["lines_per_s"] / row["plain"]["lines_per_s"], 3)
        rows.append(row)
        ours, peer = row["served"], row["plain"]
        print(
            f"{count:7d}  {here:12.1f}  {each:14.1f}"
            f"  {ours['lines_per_s']:6.1f} ({ours['share_of_in_process']:.2f})"
            f"  {peer['lines_per_s']:6.1f} ({peer['share_of_in_process']:.2f})"
            f"  {ours['p50_ms']:10.1f}, {peer['p50_ms']:.1f}  {ours['p99_ms']:.1f}, {peer['p99_ms']:.1f}"
            f"  {ours['processor_ms_per_line']:.1f}, {peer['processor_ms_per_line']:.1f} ({here_ms:.1f})",
            flush=True,
        )
    return rows, kept


def differing(answers: Sequence[Answer], expected: Sequence[str]) -> int:
    """Return how many answers hold another text than was read here, byte by byte."""
    found = [(answer.line, answer.body.get("predictions") or answer.body["readings"]) for answer in answers]
    return sum(one[0]["text"].encode() != expected[line].encode() for line, one in found)


def _images(args: argparse.Namespace, place: Path) -> list[bytes]:
    """Return the first lines of the test split, or of invented writers where no dataset is given."""
    if args.lines is None:
        write_dataset(place / "lines", num_lines=args.num_lines * 2, num_writers=8, seed=args.seed)
    dataset = LinesDataset.open(args.lines or place / "lines")
    found = [line.image for _, line in zip(range(args.num_lines), dataset.lines(args.split), strict=False)]
    if not found:
        raise SystemExit(f"error: {args.lines}: no lines in split {args.split}; choose another --split")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="benchmarks.serving"
    )
    parser.add_argument("--bundle", default=PRETRAINED, help="default: the model that ships")
    parser.add_argument("--lines", type=Path, help="lines dataset (default: invented writers)")
    parser.add_argument("--split", help="default: all")
    parser.add_argument("--num-lines", type=int, default=200)
    parser.add_argument("--threads", type=int, help="of every server (default: one a core)")
    parser.add_argument("--concurrency", default="1,2,4,8", help="numbers of clients (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure (default: %(default)s)")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="overload the server for so long instead")
    parser.add_argument("--rate", type=float, default=1.5, help="of the soak, times what the server can read")
    parser.add_argument(
        "--served-option", action="append", default=[], metavar="OPTION", help="given to our server as it is"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
