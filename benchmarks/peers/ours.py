"""Ours: ``python -m htr train`` on the laid-out lines dataset, read by `htr.recogniser`; no other environment.

Inside:  python -P -m benchmarks.peers.ours train PROGRESS SECONDS TRAIN-ARGUMENTS...
         python -P -m benchmarks.peers.ours read REQUEST ANSWER PROGRESS

Training, then ``calibrate``, which decides whether the 8-bit graph reads as well; both are charged.

Where the command takes ``--minutes`` it is given them. Where it does not, its budget is a number of lines: that is
worked out from a short run beforehand, which is not charged, as nothing of it is kept. Where that was wrong and
time runs out, training is asked to stop where it is, as peers are cut short; what it took is reported.
"""

import json
import math
import shutil
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import meter, reading
from benchmarks.peers.protocol import PROJECT, PeerError, Site, Trained

TRIAL_SHARE = 0.1
"""Of the budget; how long the trial run trains to measure the rate, within the bounds below."""
TRIAL_S = (30.0, 90.0)
STOP_SHARE = 0.95
"""Of the budget; training is asked to stop then, so that validation, export and tuning fit."""
RESERVE = 0.09
"""Of the budget; kept back for what the trial cannot see, export and other load on the machine, and for tuning."""
VALIDATION_SPEEDUP = 2.5
"""A validated line is taken to cost that much less than a trained one, since nothing is learnt from it."""
OVERRUN = 1.25
"""A run that takes so many times its budget is ended and counts as failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What the short run found."""

    lines_per_s: float
    start_s: float
    """Seconds from the program's start to its first batch."""


class Ours:
    """This project as its own peer."""

    name = "ours"

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._arguments = tuple(arguments)

    def fingerprint(self) -> str:
        """Return the digest of the library, this file, and what else the train command was given."""
        from benchmarks.peers.fingerprints import of_files

        here = Path(__file__)
        files = [here, here.with_name("lightning_clock.py"), Path(meter.__file__), Path(reading.__file__)]
        named = [Path(argument) for argument in self._arguments if Path(argument).is_file()]
        return ":".join([of_files(PROJECT / "htr", *files, *named), *self._arguments])

    def prepare(self, site: Site) -> str:
        """Return the version; there is nothing to install."""
        from htr import __version__

        return str(__version__)

    def train(self, site: Site) -> Trained:
        """Train for the budget; the command keeps the epoch with the best validation CER."""
        from benchmarks.peers.children import last_words, read_progress, variables_for

        settings, bundle = site.settings, site.folder / "bundle"
        budget_s, options, notes = settings.minutes * 60, self._options(site), []
        max_lines, stop_s = 0, math.inf
        if "--minutes" in options:
            limits = ["--minutes", f"{settings.minutes:g}"]
        else:
            trial = self._trial(site, budget_s)
            sizes = len(site.layout.lines["train"]), len(site.layout.lines["val"])
            max_lines = lines_within(budget_s, trial, train_lines=sizes[0], val_lines=sizes[1])
            limits, stop_s = ["--max-lines", str(max_lines)], STOP_SHARE * budget_s
            notes.append(
                f"{max_lines:,} lines planned from {trial.lines_per_s:.0f} lines/s in a trial run, not charged"
            )
        if "--threads" in options:
            limits += ["--threads", str(settings.threads)]
        if settings.ours:
            notes.append(f"trained with {' '.join(settings.ours)}")
        progress, log = site.folder / "train.json", site.folder / "train.log"
        ended = site.children.run(
            self._training(site, progress, bundle, limits, stop_s),
            log=log,
            doing="training",
            seconds=budget_s * OVERRUN,
            progress=progress,
            variables=variables_for(settings.threads),
        )
        if ended.timed_out:
            raise PeerError(f"training did not end within {OVERRUN:g} times its budget; log: {log}")
        if ended.status != 0:
            raise PeerError(f"training failed: {last_words(log)}; log: {log}")
        told = read_progress(progress)
        if ended.seconds > stop_s and told.get("lines", 0) < max_lines:
            notes.append(f"time ran out at {told.get('lines', 0):,} lines: its plan was cut short")
        rates = [one["cer"] for one in told.get("validations", []) if one["cer"] is not None]
        finished = site.folder / "calibrated"
        calibrated_s = run_htr(
            site, "calibrate", str(site.layout.dataset), "--bundle", str(bundle), "--out", str(finished)
        )
        return Trained(
            model=str(finished),
            bytes_on_disk=sum(file.stat().st_size for file in finished.rglob("*") if file.is_file()),
            seconds=ended.seconds + calibrated_s,
            lines_shown=told.get("lines"),
            lines_per_s=told.get("lines_per_s"),
            validation_cer=min(rates, default=None),
            notes=notes,
        )

    def reader(self, site: Site) -> tuple[list[str], Mapping[str, str]]:
        """Return the reading command."""
        return [*_inside(), "read"], {}

    def _trial(self, site: Site, budget_s: float) -> Trial:
        """Train for a while, measure, and throw it away."""
        from benchmarks.peers.children import last_words, read_progress, variables_for

        progress, log = site.folder / "trial.json", site.folder / "trial.log"
        scrap = site.folder / "trial"
        seconds = min(max(TRIAL_SHARE * budget_s, TRIAL_S[0]), TRIAL_S[1])
        ended = site.children.run(
            self._training(site, progress, scrap, ["--max-lines", str(10**8)], math.inf),
            log=log,
            doing="measuring its rate",
            seconds=budget_s,
            enough=lambda told: told.get("training_s", 0.0) >= seconds,
            progress=progress,
            variables=variables_for(site.settings.threads),
        )
        shutil.rmtree(scrap, ignore_errors=True)
        shutil.rmtree(scrap.with_name("trial.checkpoints"), ignore_errors=True)
        told = read_progress(progress)
        if not told.get("lines_per_s"):
            why = f"no batch within {budget_s:.0f} s" if ended.timed_out else last_words(log)
            raise PeerError(f"its rate could not be measured: {why}; log: {log}")
        return Trial(lines_per_s=told["lines_per_s"], start_s=told["began_s"])

    @staticmethod
    def _options(site: Site) -> set[str]:
        """Return the long options that our train command knows."""
        from benchmarks.peers.children import variables_for

        log = site.folder / "help.log"
        site.children.run(
            [sys.executable, "-m", "htr", "train", "--help"], log=log, doing="asking", variables=variables_for(1)
        )
        return {
            word.strip("[],")
            for word in log.read_text(encoding="utf-8").split()
            if word.lstrip("[").startswith("--")
        }

    @staticmethod
    def _training(site: Site, progress: Path, bundle: Path, limits: Sequence[str], stop_s: float) -> list[str]:
        common = ["--out", str(bundle), "--work", f"{bundle}.checkpoints", "--seed", str(site.settings.seed)]
        lines = str(site.layout.dataset)
        return [*_inside(), "train", str(progress), str(stop_s), lines, *common, *limits, *site.settings.ours]


def lines_within(budget_s: float, trial: Trial, *, train_lines: int, val_lines: int) -> int:
    """Return how many lines can be shown: whole epochs with their validations, or a part of the first one."""
    left_s = budget_s * (1 - RESERVE) - trial.start_s
    epoch_s = (train_lines + val_lines / VALIDATION_SPEEDUP) / trial.lines_per_s
    epochs = int(left_s / epoch_s)
    if epochs >= 1:
        return epochs * train_lines
    part = left_s * trial.lines_per_s - val_lines / VALIDATION_SPEEDUP
    if part < 1:
        raise PeerError(f"the budget of {budget_s:.0f} s is over before its first epoch; give more --minutes")
    return int(part)


def run_htr(site: Site, verb: str, *arguments: str) -> float:
    """Run one of our commands; return its seconds."""
    from benchmarks.peers.children import last_words, variables_for

    log = site.folder / f"{verb}.log"
    ended = site.children.run(
        [sys.executable, "-P", "-m", "htr", verb, *arguments],
        log=log,
        doing=verb,
        variables=variables_for(site.settings.threads),
    )
    if ended.status != 0:
        raise PeerError(f"{verb} failed: {last_words(log)}; log: {log}")
    return float(ended.seconds)


def _inside() -> list[str]:
    return [sys.executable, "-P", "-m", "benchmarks.peers.ours"]


def train_inside(progress: str, stop_after_s: float, arguments: Sequence[str]) -> int:
    """Run ``python -m htr train`` with our clock attached to its trainer, asked to stop after so many seconds."""
    from benchmarks.peers.lightning_clock import Clock, attach
    from htr.__main__ import main

    attach(Clock(meter.Meter(Path(progress)), _lines_of, _validation_cer, stop_after_s))
    return main(["train", *arguments])


def _lines_of(batch: Any) -> int:
    return len(batch.steps)


def _validation_cer(metrics: Mapping[str, Any]) -> float | None:
    return float(metrics["val_cer"]) if "val_cer" in metrics else None


class OurReader:
    """`htr.recogniser.Recogniser` on image files.

    It reads every line alone. One line at a time it is given all threads; several at a time, they are shared out
    among so many readers of one thread each.
    """

    def __init__(self, model: str, threads: int) -> None:
        from htr.recogniser import Recogniser

        self._threads = threads
        self._alone = Recogniser.load(model, num_threads=threads)
        self._shared = Recogniser.load(model, num_threads=1) if threads > 1 else self._alone
        self.parameters: int | None = count_parameters(Path(model) / "weights.safetensors")

    def read(self, files: Sequence[str], batch: int) -> Iterator[tuple[str, str]]:
        """Yield files with texts."""
        if batch == 1 or self._threads == 1:
            for file in files:
                yield file, self._alone.read([Path(file).read_bytes()])[0].text
            return
        with ThreadPoolExecutor(self._threads) as pool:
            for start in range(0, len(files), batch):
                yield from pool.map(self._one, files[start : start + batch])

    def _one(self, file: str) -> tuple[str, str]:
        return file, self._shared.read([Path(file).read_bytes()])[0].text


def count_parameters(weights: Path) -> int:
    """Return how many numbers of the reading network are learnt: no running statistics, no training-only head."""
    with weights.open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(size))
    total = 0
    for name, tensor in header.items():
        skipped = name == "__metadata__" or name.startswith("shortcut.")
        if not skipped and name.rpartition(".")[2] not in {"running_mean", "running_var", "num_batches_tracked"}:
            count = 1
            for length in tensor["shape"]:
                count *= length
            total += count
    return total


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        sys.exit(train_inside(sys.argv[2], float(sys.argv[3]), sys.argv[4:]))
    sys.exit(reading.main(OurReader, sys.argv[2:]))
