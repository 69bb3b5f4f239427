"""kraken 7 (Apache-2.0): ``ketos train`` on image files, its own greedy reading.

Inside its environment:  python -P -m benchmarks.peers.kraken train PROGRESS KETOS-ARGUMENTS...
                         python -P -m benchmarks.peers.kraken read REQUEST ANSWER PROGRESS

What has to be known: image files are dewarped unless the line type is set to baselines; checkpoints carry their
validation accuracy in their names; less than an epoch between validations is a fraction, more is whole epochs.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.peers import meter, reading
from benchmarks.peers.protocol import PeerError, Settings, Site, Trained

SPEC = "[1,48,0,1 Cr3,3,16 Mp2,2 Cr3,3,32 Mp2,2 Cr3,3,64 Mp2,1 S1(1x0)1,3 Lbx200 Do0.2]"
"""About 1 M parameters; height 48 is the network's, whatever the height of the files."""
BATCH = 16
CHECKPOINT = re.compile(r"checkpoint_(\d+)-(-?\d+\.\d+)(?:-v\d+)?\.ckpt")


class Kraken:
    """kraken as a peer."""

    name = "kraken"

    def fingerprint(self) -> str:
        """Return the digest of this file, clock and reading, and the pinned versions."""
        from benchmarks.peers.environments import REQUIREMENTS
        from benchmarks.peers.fingerprints import of_files

        return of_files(Path(__file__), Path(meter.__file__), Path(reading.__file__), REQUIREMENTS / "kraken.txt")

    def prepare(self, site: Site) -> str:
        """Make its environment; return its version."""
        from benchmarks.peers.environments import REQUIREMENTS, make_environment, pinned_version

        make_environment(site, REQUIREMENTS / "kraken.txt", python="3.11")
        return pinned_version(REQUIREMENTS / "kraken.txt", "kraken")

    def train(self, site: Site) -> Trained:
        """Train until time is up; keep the checkpoint with the best validation accuracy."""
        from benchmarks.peers.children import last_words, read_progress, variables_for

        folder, settings = site.folder / "model", site.settings
        progress, log = site.folder / "train.json", site.folder / "train.log"
        ended = site.children.run(
            [*self._inside(site), "train", str(progress), *train_arguments(site, folder)],
            log=log,
            doing="training",
            seconds=settings.minutes * 60,
            progress=progress,
            variables=variables_for(settings.threads),
        )
        kept = best_checkpoints(folder)
        if not kept:
            why = "no validation in time" if ended.timed_out else last_words(log)
            raise PeerError(f"training left no checkpoint: {why}; log: {log}")
        accuracy, model = self._converted(site, kept)
        told = read_progress(progress)
        return Trained(
            model=str(model),
            bytes_on_disk=model.stat().st_size,
            seconds=ended.seconds,
            lines_shown=told.get("lines"),
            lines_per_s=told.get("lines_per_s"),
            validation_cer=1.0 - accuracy,
        )

    def reader(self, site: Site) -> tuple[list[str], Mapping[str, str]]:
        """Return the inner side's reading command."""
        return [*self._inside(site), "read"], {}

    @staticmethod
    def _inside(site: Site) -> list[str]:
        from benchmarks.peers.environments import python_of

        return [str(python_of(site.environment)), "-P", "-m", "benchmarks.peers.kraken"]

    @staticmethod
    def _converted(site: Site, kept: list[tuple[float, Path]]) -> tuple[float, Path]:
        """Return accuracy and weights of the best whole checkpoint: the last one may have been cut short."""
        from benchmarks.peers.children import last_words, variables_for

        ketos = site.environment / "bin" / "ketos"
        weights, log = site.folder / "best.safetensors", site.folder / "convert.log"
        for accuracy, checkpoint in kept:
            ended = site.children.run(
                [str(ketos), "convert", "-o", str(weights), str(checkpoint)],
                log=log,
                doing="converting",
                seconds=300,
                variables=variables_for(site.settings.threads),
            )
            if ended.status == 0 and weights.is_file():
                return accuracy, weights
        raise PeerError(f"no checkpoint can be converted: {last_words(log)}; log: {log}")


def train_arguments(site: Site, folder: Path) -> list[str]:
    """Return what ``ketos`` is told."""
    settings, lines = site.settings, site.layout.lines
    training = ["-f", "path", "--linetype", "baselines", "-B", str(BATCH), "-q", "fixed", "-N", "100000"]
    training += ["-F", frequency(settings, len(lines["train"])), "-r", "1e-3", "--schedule", "constant"]
    training += ["--no-augment", "-u", "NFC", "-s", SPEC, "-o", str(folder)]
    training += ["-t", str(site.layout.list_file("train")), "-e", str(site.layout.list_file("val"))]
    return [
        *("--device", "cpu", "--workers", "1", "--threads", str(settings.threads), "--seed", str(settings.seed)),
        "train",
        *training,
    ]


def frequency(settings: Settings, train_lines: int) -> str:
    """Return ``-F``: a fraction of an epoch below 1, else whole epochs, nearest to ``validate_every``."""
    share = settings.validate_every / train_lines
    return f"{share:.4f}" if share < 0.75 else str(max(1, round(share)))


def best_checkpoints(folder: Path) -> list[tuple[float, Path]]:
    """Return (validation accuracy, file) of every checkpoint, the best first, the later first among equals."""
    found = [(match, file) for file in folder.glob("*.ckpt") if (match := CHECKPOINT.fullmatch(file.name))]
    found.sort(key=lambda pair: (float(pair[0][2]), pair[1].stat().st_mtime), reverse=True)
    return [(float(match[2]), file) for match, file in found]


def train_inside(progress: str, arguments: Sequence[str]) -> None:
    """Run ``ketos`` with our clock attached to its trainer."""
    from kraken.ketos import cli

    from benchmarks.peers.lightning_clock import Clock, attach

    def cer(metrics: dict[str, float]) -> float | None:
        return 1.0 - float(metrics["val_metric"]) if "val_metric" in metrics else None

    attach(Clock(meter.Meter(Path(progress)), lambda batch: len(batch["image"]), cer))
    cli(list(arguments), standalone_mode=True)


class KrakenReader:
    """kraken's own transforms, network and greedy decoder, on whole line images."""

    def __init__(self, model: str, threads: int) -> None:
        import torch
        from kraken.configs import RecognitionInferenceConfig
        from kraken.lib.dataset import ImageInputTransforms
        from kraken.models import load_models

        torch.set_num_threads(threads)
        (self._net,) = load_models(model, tasks=["recognition"])
        config = RecognitionInferenceConfig(num_line_workers=0, accelerator="cpu", device=1)
        self._net.prepare_for_inference(config)
        batch, channels, height, width = self._net.input
        # As kraken does for lines of type baselines: no dewarping.
        self._transforms = ImageInputTransforms(
            batch, height, width, channels, (config.padding, 0), valid_norm=False
        )
        self.parameters: int | None = sum(p.numel() for p in self._net.nn.parameters())

    def read(self, files: Sequence[str], batch: int) -> Iterator[tuple[str, str]]:
        """Yield files with texts; padded and stacked as in kraken's own ``_recognize_baseline_lines``."""
        import torch
        from PIL import Image

        for start in range(0, len(files), batch):
            group = files[start : start + batch]
            tensors = [self._transforms(Image.open(file)) for file in group]
            widths = [tensor.shape[2] for tensor in tensors]
            padded = [torch.nn.functional.pad(t, (0, max(widths) - t.shape[2])) for t in tensors]
            with torch.inference_mode():
                decoded, _ = self._net._rec_predict(torch.stack(padded), torch.LongTensor(widths))
            for file, tensor, characters in zip(group, tensors, decoded, strict=True):
                # An image of one grey is not read at all, as in kraken; its texts are in display order.
                blank = tensor.max() == tensor.min()
                yield file, "" if blank else _logical("".join(c[0] for c in characters))


def _logical(text: str) -> str:
    from kraken.lib.functional_im_transforms import text_reorder

    return str(text_reorder(text))


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train_inside(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(reading.main(KrakenReader, sys.argv[2:]))
