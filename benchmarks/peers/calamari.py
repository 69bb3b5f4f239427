"""Calamari 2.3 (GPL-3.0): its training command on image files, its own predictor.

Inside its environment:  python -P -m benchmarks.peers.calamari train PROGRESS SNAPSHOT CALAMARI-ARGUMENTS...
                         python -P -m benchmarks.peers.calamari read REQUEST ANSWER PROGRESS

What has to be known: file names are cut at the first dot; files are read in the order of their names, whatever the
order they are given in; the best checkpoint is written in place, so that a run which is killed in that moment has
none, wherefore it is copied as soon as it is whole.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import meter, reading
from benchmarks.peers.protocol import PeerError, Site, Trained

BATCH = 16
BUCKETS = ("250", "400", "550", "700", "850", "1000")
"""Widths in pixels at which batches are kept apart."""
BEST = "best.ckpt"


class Calamari:
    """Calamari as a peer."""

    name = "calamari"

    def fingerprint(self) -> str:
        """Return the digest of this file, clock and reading, and the pinned versions."""
        from benchmarks.peers.environments import REQUIREMENTS
        from benchmarks.peers.fingerprints import of_files

        return of_files(
            Path(__file__), Path(meter.__file__), Path(reading.__file__), REQUIREMENTS / "calamari.txt"
        )

    def prepare(self, site: Site) -> str:
        """Make its environment; return its version."""
        from benchmarks.peers.environments import REQUIREMENTS, make_environment, pinned_version

        make_environment(site, REQUIREMENTS / "calamari.txt", python="3.11")
        return pinned_version(REQUIREMENTS / "calamari.txt", "calamari-ocr")

    def train(self, site: Site) -> Trained:
        """Train until time is up; keep the checkpoint with the best validation rate."""
        from benchmarks.peers.children import last_words, read_progress, variables_for

        settings, snapshot = site.settings, site.folder / "best"
        progress, log = site.folder / "train.json", site.folder / "train.log"
        ended = site.children.run(
            [*self._inside(site), "train", str(progress), str(snapshot), *train_arguments(site)],
            log=log,
            doing="training",
            seconds=settings.minutes * 60,
            progress=progress,
            variables=variables_for(settings.threads),
        )
        if not snapshot.is_dir():
            why = "no validation in time" if ended.timed_out else last_words(log)
            raise PeerError(f"training left no checkpoint: {why}; log: {log}")
        told = read_progress(progress)
        rates = [one["cer"] for one in told.get("validations", []) if one["cer"] is not None]
        return Trained(
            model=str(snapshot / BEST),
            bytes_on_disk=sum(file.stat().st_size for file in snapshot.rglob("*") if file.is_file()),
            seconds=ended.seconds,
            lines_shown=told.get("lines"),
            lines_per_s=told.get("lines_per_s"),
            validation_cer=min(rates, default=None),
        )

    def reader(self, site: Site) -> tuple[list[str], Mapping[str, str]]:
        """Return the inner side's reading command."""
        return [*self._inside(site), "read"], {}

    @staticmethod
    def _inside(site: Site) -> list[str]:
        from benchmarks.peers.environments import python_of

        return [str(python_of(site.environment)), "-P", "-m", "benchmarks.peers.calamari"]


def train_arguments(site: Site) -> list[str]:
    """Return what ``calamari-train`` is told."""
    settings, folder = site.settings, site.layout.folder.resolve()
    return [
        *("--trainer.samples_per_epoch", str(max(BATCH, settings.validate_every))),
        *("--trainer.epochs", "100000", "--early_stopping.n_to_go", "-1"),
        *("--trainer.random_seed", str(settings.seed), "--trainer.output_dir", str(site.folder / "model")),
        *("--trainer.progress_bar_mode", "2"),
        *("--train.batch_size", str(BATCH), "--train.bucket_boundaries", *BUCKETS),
        *("--val.batch_size", str(BATCH)),
        *("--train.images", str(folder / "train" / "*.png"), "--val.images", str(folder / "val" / "*.png")),
    ]


def train_inside(progress: str, snapshot: str, arguments: Sequence[str]) -> None:
    """Run Calamari's training with our clock among its callbacks."""
    from calamari_ocr.scripts.train import parse_args
    from tensorflow import keras

    parameters = parse_args(list(arguments))
    clock, kept = meter.Meter(Path(progress)), Path(snapshot)

    class Clock(keras.callbacks.Callback):
        best = float("inf")

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            clock.resume()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.batch(BATCH)

        def on_test_begin(self, logs: Any = None) -> None:
            clock.pause()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.pause()
            monitored = parameters.early_stopping.monitor
            cer = (logs or {}).get(monitored)
            cer = None if cer is None else float(cer)
            if cer is not None and cer < self.best:
                self.best = cer
                _copy_whole(Path(parameters.output_dir) / BEST, kept)
            clock.validated(cer)

    trainer = parameters.scenario.cls().create_trainer(parameters)
    trainer.train(callbacks=[Clock()])


def _copy_whole(source: Path, folder: Path) -> None:
    """Copy a checkpoint and what lies beside it under its name into a folder, which changes in one step."""
    partial, old = folder.with_name(folder.name + ".partial"), folder.with_name(folder.name + ".old")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for part in source.parent.glob(f"{source.name}*"):
        (shutil.copytree if part.is_dir() else shutil.copy2)(part, partial / part.name)
    if folder.is_dir():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


class CalamariReader:
    """Calamari's own predictor on image files."""

    def __init__(self, model: str, threads: int) -> None:
        from calamari_ocr.ocr.predict.params import PredictorParams
        from calamari_ocr.ocr.predict.predictor import Predictor

        parameters = PredictorParams(silent=True, progress_bar=False)
        parameters.pipeline.num_processes = threads
        self._predictor = Predictor.from_checkpoint(parameters, model)
        self.parameters: int | None = int(self._predictor._keras_model.count_params())

    def read(self, files: Sequence[str], batch: int) -> Iterator[tuple[str, str]]:
        """Yield files with texts, in Calamari's own order."""
        from calamari_ocr.ocr.dataset.datareader.file import FileDataParams

        named = {Path(file).name.partition(".")[0]: file for file in files}
        self._predictor.params.pipeline.batch_size = batch
        for sample in self._predictor.predict(FileDataParams(images=list(files))):
            yield named[sample.meta["id"]], sample.outputs.sentence


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train_inside(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        sys.exit(reading.main(CalamariReader, sys.argv[2:]))
