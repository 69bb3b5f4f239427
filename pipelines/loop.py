"""The whole loop on one machine: train, serve, notice a new hand, correct, retrain, serve the better model.

Each part is started as a user would start it, by its command or over HTTP; only files and addresses pass between
them. Everything lies below RUNS/<id>; RUNS/latest points to the newest.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from htr.errors import OutputError, SettingsError
from htr.lines import Line, LinesDataset, LinesWriter
from pipelines.account import account_for
from pipelines.arrival import check_size, set_aside
from pipelines.children import StepError, run_told
from pipelines.local import default_tracking_uri, point, run_shown
from pipelines.server import ModelServer, Served, errors_of, settled
from pipelines.summary import Screen, as_text

MODEL = "quillflow"
FIRST_CEILING = 0.8
"""Golden CER that lets a first model through: high, since a few minutes show the loop, not the best model."""


@dataclass(kw_only=True)
class Loop:
    """One run of the loop."""

    runs: Path
    seed: int
    budget: int
    """Lines shown in the first training; the second gets 60 % of it."""
    num_corrections: int
    """Lines of the new hand that are corrected; at most half of it."""
    git_commit: str
    screen: Screen
    _outcomes: list[dict[str, Any]] = field(default_factory=list)
    _served_ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.budget < 1 or self.num_corrections < 1 or self.seed < 0:
            raise SettingsError(
                f"--budget and --corrections must be at least 1 and --seed at least 0, "
                f"got {self.budget}, {self.num_corrections}, {self.seed}"
            )

    def run(self, *, lines: Path | None, arriving: Path | None) -> dict[str, Any]:
        """Drive the loop to its end and write ``summary.json``.

        Args:
            lines: lines dataset; None invents one.
            arriving: lines dataset of the new hand; None invents it, or sets it aside from ``lines``.

        Returns:
            The summary.

        Raises:
            QuillflowError: something is wrong with the data or the set-up; the text says what.
        """
        if arriving is not None and lines is None:
            raise SettingsError("--arriving goes with --lines")
        for given in filter(None, (lines, arriving)):
            LinesDataset.open(given)  # before anything is made: a mistyped path leaves no empty run behind
        if arriving is not None:
            check_size(LinesDataset.open(arriving))
        root = self._new_root()
        try:
            whole, base, new_hand, what = self._data(root, lines, arriving)
        except BaseException:  # Ctrl-C included
            shutil.rmtree(root)  # there is nothing in it yet that anybody would want
            raise
        summary: dict[str, Any] = {
            "format_version": 1,
            "id": root.name,
            "seed": self.seed,
            "git_commit": self.git_commit,
            "arriving": {"what": what, "lines": len(new_hand)},
        }
        tracking_uri = default_tracking_uri(root)
        self.screen.step("Training pipeline: validate, train, evaluate, gate, register, promote")
        first = run_shown(self._arguments(base, tracking_uri, root), root, show=self.screen.note)
        point(self.runs / "latest", root.name)
        self._outcomes.append(first)
        summary["first_champion"] = _champion(first)
        if first["promoted"]:
            self._served_part(root, tracking_uri, base, new_hand, first, summary)
        else:
            self.screen.note(
                "no champion: the model reads too badly to be served; more lines or a larger --budget help"
            )
        summary["labels"] = {
            **account_for(
                [whole] if whole is not base else [base, new_hand],
                self._outcomes,
                self._served_ids,
                waiting=() if first["promoted"] else new_hand.columns(["id"])["id"].to_pylist(),
            ),
            "quarantined": whole.info.counts["quarantined"],
        }
        summary["seconds"] = round(self.screen.elapsed_s, 1)
        summary["look_at"] = _look_at(root, first, tracking_uri, summary)
        (root / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False), encoding="utf-8")
        self.screen.plain("")
        self.screen.plain(as_text(summary))
        lost = summary["labels"]["lost"]
        if lost:
            raise StepError(f"{len(lost)} lines were lost on the way, such as {lost[0]!r}: a fault of ours")
        return summary

    def _served_part(
        self,
        root: Path,
        tracking_uri: str,
        base: LinesDataset,
        new_hand: LinesDataset,
        first: dict[str, Any],
        summary: dict[str, Any],
    ) -> None:
        log_dir = root / "prediction-log"
        arriving = list(new_hand.lines())
        count = min(self.num_corrections, len(arriving) // 2)
        corrected, unseen = arriving[:count], arriving[count:]
        self.screen.step("Serving the champion with KServe")
        model = f"models:/{MODEL}@champion"
        with ModelServer(model=model, tracking_uri=tracking_uri, root=root) as server:
            self.screen.note(f"{server.url}/v1/models/htr:predict")
            known = self._read(server, islice(base.lines("test"), 1000))
            summary["served"] = _compare_with_report(known, Path(first["report"]))
            settled(log_dir, len(known))
            summary["drift_before"] = self._check(root / "drift-before", first, log_dir, None)

            self.screen.step(f"A new hand arrives: {summary['arriving']['what']}, {len(arriving)} lines")
            since = datetime.now(UTC)
            before = self._read(server, arriving)
            settled(log_dir, len(known) + len(before))
            summary["drift"] = self._check(root / "drift", first, log_dir, since)

            self.screen.step(f"{count} of its lines are corrected; a retraining is asked for")
            corrections = root / "data" / "corrections"
            with LinesWriter(corrections) as writer:
                for line in corrected:
                    writer.add(line)
            told = self._retrain(root, tracking_uri, base, corrections, first)
            summary["retraining"] = {"corrections": count, "told": told[0] if told else ""}
            result = root / "retrain" / "pipeline.json"
            if not result.is_file():
                return
            second = json.loads(result.read_text(encoding="utf-8"))
            self._outcomes.append(second)
            summary["second_champion"] = _champion(second)
            summary["asked_again"] = self._retrain(root, tracking_uri, base, corrections, first)[-1]

            self.screen.step("The server takes the new champion over, without a restart")
            if second["promoted"]:
                point(root / "champion", second["evaluated"])
                server.wait_for(str(second["version"]), unseen[0])
                self.screen.note(f"now reading with version {second['version']}")
            after = self._read(server, unseen)
        summary["new_hand"] = {
            "lines": len(unseen),
            "before": errors_of(before[count:]).cer,
            "after": errors_of(after).cer,
            "served_by_before": before[-1].model_version,
            "served_by_after": after[-1].model_version,
        }
        self.screen.note(
            f"CER on {len(unseen)} lines of the new hand that nobody corrected: "
            f"{summary['new_hand']['before']:.1%} before, {summary['new_hand']['after']:.1%} after"
        )

    def _new_root(self) -> Path:
        self.runs = self.runs.resolve()
        root = self.runs / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        try:
            (root / "logs").mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                f"{self.runs}: cannot be written ({error.strerror}); choose another --runs"
            ) from error
        return root

    def _data(
        self, root: Path, lines: Path | None, arriving: Path | None
    ) -> tuple[LinesDataset, LinesDataset, LinesDataset, str]:
        data = root / "data"
        if lines is None:
            self.screen.step("Inventing writers, and one kind of hand that comes later")
            seed = str(self.seed)
            size = ["--lines", "2000", "--writers", "80", "--population", "plain"]
            self._command("htr", "synth", "--out", data / "lines", "--seed", seed, *size)
            size = ["--lines", "500", "--writers", "5", "--population", "drifted"]
            self._command("htr", "synth", "--out", data / "arriving", "--seed", seed, *size)
            lines, arriving, what = data / "lines", data / "arriving", "invented writers of another school"
            dataset = LinesDataset.open(lines)
            return dataset, dataset, LinesDataset.open(arriving), what
        dataset = LinesDataset.open(lines)
        self.screen.step(f"{len(dataset):,} lines from {lines}")
        if arriving is not None:
            return dataset, dataset, LinesDataset.open(arriving), str(arriving)
        aside = set_aside(dataset, data / "base", data / "arriving")
        self.screen.note(f"set aside as the hand that arrives later: {aside.what}, {aside.arriving_lines:,} lines")
        return dataset, LinesDataset.open(aside.base), LinesDataset.open(aside.arriving), aside.what

    def _arguments(self, base: LinesDataset, tracking_uri: str, root: Path) -> dict[str, Any]:
        return {
            "lines": str(base.path.resolve()),
            "tracking_uri": tracking_uri,
            "work": str(root / "checkpoints"),
            "settings": {"max_lines": self.budget, "seed": self.seed},
            "cer_ceiling": FIRST_CEILING,
            "git_commit": self.git_commit,
        }

    def _check(self, out: Path, first: dict[str, Any], log_dir: Path, since: datetime | None) -> dict[str, Any]:
        window = [] if since is None else ["--since", since.isoformat()]
        self._command(
            "monitoring", "check", "--bundle", first["evaluated"], "--log", log_dir, "--out", out, *window
        )
        verdict: dict[str, Any] = json.loads((out / "drift.json").read_text(encoding="utf-8"))
        return verdict

    def _retrain(
        self, root: Path, tracking_uri: str, base: LinesDataset, corrections: Path, first: dict[str, Any]
    ) -> list[str]:
        settings = {"max_lines": round(self.budget * 0.6), "seed": self.seed}
        options = ["--verdict", root / "drift" / "drift.json", "--bundle", first["evaluated"]]
        options += ["--corrections", corrections, "--state", root / "governor", "--local-root", root / "retrain"]
        options += ["-p", f"lines={base.path.resolve()}", "-p", f"tracking_uri={tracking_uri}"]
        options += ["-p", f"settings={json.dumps(settings)}"]
        return self._command("monitoring", "retrain", *options)

    def _read(self, server: ModelServer, lines: Iterable[Line]) -> list[Served]:
        served = server.read(lines)
        self._served_ids |= {one.line.id for one in served}
        return served

    def _command(self, module: str, *arguments: str | Path) -> list[str]:
        """Run ``python -m module ...``, show what it prints, and return it."""
        return run_told([module, *arguments], self.screen.note)


def _champion(outcome: dict[str, Any]) -> dict[str, Any]:
    report = json.loads(Path(outcome["report"]).read_text(encoding="utf-8"))
    decision = json.loads(Path(outcome["decision"]).read_text(encoding="utf-8"))
    splits = report["challenger"]["splits"]
    return {
        "version": str(outcome["version"]),
        "promoted": bool(outcome["promoted"]),
        "rule": decision["rule"],
        "reason": decision["reason"],
        "golden": splits["test"],
        "recent": splits.get("recent"),
    }


def _compare_with_report(served: Sequence[Served], report: Path) -> dict[str, Any]:
    lines = {line["id"]: line for line in json.loads(report.read_text(encoding="utf-8"))["lines"]}
    same = sum(one.text == lines[one.line.id]["reading"] for one in served)
    return {"lines": len(served), "same_text": same, "cer": errors_of(served).cer}


def _look_at(root: Path, first: dict[str, Any], tracking_uri: str, summary: dict[str, Any]) -> dict[str, str]:
    """Copy the pages that people want to where they find them; return what lies where."""
    pages = {"report": ("report-1.html", first["page"]), "validation": ("validation.html", first["validation"])}
    if "second_champion" in summary:
        second = json.loads((root / "retrain" / "pipeline.json").read_text(encoding="utf-8"))
        pages["second report"] = ("report-2.html", second["page"])
    places = {"MLflow": f"{tracking_uri} (shown by: make up)"}
    for name, (file, page) in pages.items():
        shutil.copyfile(page, root / file)
        places[name] = str(root / file)
    if "drift" in summary:
        places["drift report"] = str(root / "drift" / "drift.html")
    return {**places, "all facts": str(root / "summary.json")}
