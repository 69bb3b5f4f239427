"""Prepare, train, read, score: one peer after another, each result kept in the out folder as soon as it is there.

OUT/settings.json        what all results share; another bench needs another folder
OUT/lines/               the layout
OUT/work/NAME/           a peer's own folder: logs, checkpoints, ``trained.json`` once it is trained
OUT/results/NAME.json    its result, or the reason why there is none
OUT/results/NAME.readings.csv    every test line with its truth and what was read

A bench that is started again goes on at the first peer without a result; a peer that failed is tried again.
"""

import csv
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.children import Children, clock_text, last_words, variables_for
from benchmarks.peers.layout import Layout
from benchmarks.peers.protocol import Peer, PeerAbsentError, PeerError, Settings, Site, Trained
from benchmarks.peers.scoring import Score, changed, errors_of, scores
from htr.errors import OutputError, SettingsError

FORMAT_VERSION = 1
READING_S = 3600.0
"""Seconds before a reading is given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one peer showed, or why it did not."""

    peer: str
    state: str
    """``done``, ``failed``, ``skipped`` (not on this machine)."""
    fingerprint: str
    version: str = ""
    reason: str = ""
    scores: dict[str, Score] = field(default_factory=dict)
    training: Trained | None = None
    parameters: int | None = None
    one_thread_lines_per_s: float | None = None
    """One core, one line at a time."""
    all_cores_lines_per_s: float | None = None
    all_cores_batch: int | None = None
    """The batch size that was fastest."""
    changed_lines: int | None = None
    """Lines whose text is another one in a batch than alone, of ``compared_lines``."""
    compared_lines: int | None = None
    format_version: int = FORMAT_VERSION


class Bench:
    """One comparison in one folder.

    Args:
        out: folder; created when missing.
        environments: folder for the peers' virtual environments; shared between benches.
        layout: lines of all peers.
        settings: what all peers share.
        say: shows a line to the user.
        cpus: cores to use, as many as ``settings.threads``.
    """

    def __init__(
        self,
        out: Path,
        environments: Path,
        layout: Layout,
        settings: Settings,
        say: Callable[[str], None],
        *,
        cpus: Sequence[int] | None = None,
    ) -> None:
        self.out = out.resolve()
        self._environments = environments.resolve()
        self.layout = layout
        self.settings = settings
        self._say = say
        self._cpus = cpus

    def run(self, peers: Sequence[Peer]) -> list[Result]:
        """Return every peer's result, in the order given; those that are there already are taken as they are."""
        results = []
        for number, peer in enumerate(peers, start=1):
            found = self.result(peer.name)
            if found is not None and found.state == "done" and found.fingerprint == peer.fingerprint():
                self._say(f"{peer.name}: result is there already")
            else:
                self._say(f"{peer.name}: peer {number} of {len(peers)}")
                found = self._one(peer)
            results.append(found)
        return results

    def result(self, name: str) -> Result | None:
        """Return the kept result of a peer, if there is one."""
        file = self.out / "results" / f"{name}.json"
        if not file.is_file():
            return None
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            if raw["format_version"] != FORMAT_VERSION:
                return None
            raw["scores"] = {group: Score(**score) for group, score in raw["scores"].items()}
            raw["training"] = Trained(**raw["training"]) if raw["training"] else None
            return Result(**raw)
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{file}: damaged ({error}); remove it, and the peer is measured again") from error

    def readings(self, name: str) -> list[str]:
        """Return what a peer with a result read, in the order of the test lines."""
        with (self.out / "results" / f"{name}.readings.csv").open(encoding="utf-8", newline="") as stream:
            return [row["reading"] for row in csv.DictReader(stream)]

    def _one(self, peer: Peer) -> Result:
        site = Site(
            folder=self.out / "work" / peer.name,
            environment=self._environments / peer.name,
            layout=self.layout,
            settings=self.settings,
            children=Children(peer.name, self._say, cpus=self._cpus),
        )
        fingerprint, version = peer.fingerprint(), ""
        site.folder.mkdir(parents=True, exist_ok=True)
        try:
            version = peer.prepare(site)
            trained = self._trained(peer, site, fingerprint)
            result = self._read(peer, site, trained, fingerprint, version)
        except (PeerError, OSError) as error:
            state = "skipped" if isinstance(error, PeerAbsentError) else "failed"
            reason = str(error).replace(f"{self.out}{os.sep}", "")
            result = Result(peer=peer.name, state=state, fingerprint=fingerprint, version=version, reason=reason)
            self._say(f"{peer.name}: {state}: {reason}")
        write_json(self.out / "results" / f"{peer.name}.json", asdict(result))
        return result

    def _trained(self, peer: Peer, site: Site, fingerprint: str) -> Trained:
        """Train, or take what a bench that was stopped while reading had trained."""
        kept = site.folder / "trained.json"
        if kept.is_file():
            raw = json.loads(kept.read_text(encoding="utf-8"))
            if raw.pop("fingerprint", None) == fingerprint:
                self._say(f"{peer.name}: is trained already")
                return Trained(**raw)
        install = site.folder / "install.log"
        for left in site.folder.iterdir():  # half a training is of no use: its time cannot be made up for
            if left != install:
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        trained = peer.train(site)
        write_json(kept, {**asdict(trained), "fingerprint": fingerprint})
        if trained.seconds is not None:
            self._say(f"{peer.name}: trained for {clock_text(trained.seconds)}")
        return trained

    def _read(self, peer: Peer, site: Site, trained: Trained, fingerprint: str, version: str) -> Result:
        lines = self.layout.lines["test"]
        spread = evenly(len(lines), self.settings.speed_lines)
        files = [line.file for line in lines]
        timed = [files[number] for number in spread]
        one = self._ask(peer, site, trained.model, 1, [{"files": timed, "batch": 1, "repeats": 2}])
        passes = [{"files": files, "batch": 1, "repeats": 1}]
        passes += [{"files": timed, "batch": batch, "repeats": 2} for batch in self.settings.batches]
        many = self._ask(peer, site, trained.model, self.settings.threads, passes)
        alone = many["passes"][0]["texts"]
        rates = {
            batch: found["lines_per_s"]
            for batch, found in zip((1, *self.settings.batches), many["passes"], strict=True)
        }
        best = max(rates, key=lambda batch: rates[batch])
        together = many["passes"][1 + self.settings.batches.index(self.settings.compared_batch)]["texts"]
        errors = errors_of(lines, alone)
        self._keep_readings(peer.name, alone)
        result = Result(
            peer=peer.name,
            state="done",
            fingerprint=fingerprint,
            version=version,
            scores=scores(lines, errors),
            training=trained,
            parameters=one["parameters"],
            one_thread_lines_per_s=one["passes"][0]["lines_per_s"],
            all_cores_lines_per_s=rates[best],
            all_cores_batch=best,
            changed_lines=changed([alone[number] for number in spread], together),
            compared_lines=len(spread),
        )
        score = result.scores["all"]
        self._say(f"{peer.name}: CER {score.cer:.2%} [{score.cer_interval[0]:.2%}, {score.cer_interval[1]:.2%}]")
        return result

    def _ask(
        self, peer: Peer, site: Site, model: str, threads: int, passes: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Let the peer read; return its answer."""
        command, variables = peer.reader(site)
        stem = site.folder / f"read-{threads}"
        request, answer, progress = (
            stem.with_suffix(f".{part}.json") for part in ("request", "answer", "progress")
        )
        log = stem.with_suffix(".log")
        answer.unlink(missing_ok=True)
        write_json(request, {"model": model, "threads": threads, "passes": passes})
        ended = site.children.run(
            [*command, str(request), str(answer), str(progress)],
            log=log,
            doing=f"reading on {threads} core{'s' if threads > 1 else ''}",
            seconds=READING_S,
            progress=progress,
            variables={**variables_for(threads), **variables},
            num_cpus=threads,
        )
        if ended.timed_out:
            raise PeerError(f"reading did not end within {READING_S / 60:.0f} minutes; log: {log}")
        if ended.status != 0 or not answer.is_file():
            raise PeerError(f"reading failed: {last_words(log)}; log: {log}")
        told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return told

    def _keep_readings(self, name: str, texts: Sequence[str]) -> None:
        file = self.out / "results" / f"{name}.readings.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(file.name + ".partial")
        with partial.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("id", "source", "truth", "reading"))
            for line, text in zip(self.layout.lines["test"], texts, strict=True):
                writer.writerow((line.id, line.source, line.text, text))
        partial.replace(file)


def claim(out: Path, settings: Settings, digest: str) -> None:
    """Note in the out folder what its results share.

    Raises:
        SettingsError: it holds results with other lines or settings.
        OutputError: it cannot be written.
    """
    file = out / "settings.json"
    asked = json.loads(json.dumps({"format_version": FORMAT_VERSION, "lines": digest, **asdict(settings)}))
    del asked["ours"]  # of one peer alone: its fingerprint tells its results apart
    if file.is_file():
        there = json.loads(file.read_text(encoding="utf-8"))
        other = sorted(name for name in asked if asked[name] != there.get(name))
        if other:
            raise SettingsError(
                f"{out}: holds a bench with another {', '.join(other)}; give the same options, or another --out"
            )
        return
    write_json(file, asked)


def evenly(total: int, most: int) -> list[int]:
    """Return at most so many numbers below total, spread evenly."""
    count = min(total, most)
    return [number * total // count for number in range(count)]


def write_json(file: Path, values: dict[str, Any]) -> None:
    """Write a file whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(file.name + ".partial")
        partial.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); choose another --out") from error
