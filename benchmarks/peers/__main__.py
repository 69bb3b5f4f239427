"""python -m benchmarks.peers: train and score the peers and ours on the same lines, and print one table."""

import argparse
import fcntl
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.peers.bench import Bench, Result, claim
from benchmarks.peers.calamari import Calamari
from benchmarks.peers.kraken import Kraken
from benchmarks.peers.layout import SPLITS, lay_out
from benchmarks.peers.ours import Ours
from benchmarks.peers.ours_tuned import OursTuned
from benchmarks.peers.protocol import PROJECT, Peer, Settings
from benchmarks.peers.scoring import Difference, difference, errors_of
from benchmarks.peers.table import build_table, markdown, write_table
from benchmarks.peers.tesseract import Tesseract
from htr.errors import OutputError, QuillflowError, SettingsError
from htr.lines import LinesDataset

PEERS: dict[str, type[Peer]] = {
    "kraken": Kraken,
    "calamari": Calamari,
    "tesseract": Tesseract,
    "ours": Ours,
    "ours+lm": OursTuned,
}
INVENTED_LINES = 2400


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; return 0 when every peer has a result or was skipped, 1 when one failed, 2 on a mistake."""
    args = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return run(args)
    except QuillflowError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from here\n")
        return 130


def run(args: argparse.Namespace) -> int:
    """Lay the lines out, measure every peer, write the table."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    available = len(cores) if cores else os.cpu_count() or 1
    settings = _settings(args, available)
    with _Alone(args.out):
        dataset = LinesDataset.open(args.lines) if args.lines else _invented(args.out, settings)
        claim(args.out, settings, dataset.digest)
        layout = lay_out(dataset, args.out / "lines", settings, on_line=_Shown("lines laid out"))
        # The last cores: the first one is where everything else on a machine tends to run.
        cpus = cores[-settings.threads :] if cores else None
        bench = Bench(args.out, args.environments, layout, settings, _say, cpus=cpus)
        load = os.getloadavg()[0]
        results = bench.run([_peer(name, settings) for name in args.peers])
        sizes = {split: len(layout.lines[split]) for split in SPLITS}
        differences = _differences(bench, results)
        table = build_table(results, settings, sizes, differences)
        facts = _facts(dataset, layout.excluded, load)
        files = write_table(args.out, table, results, differences, facts)
        print(f"\n{markdown(table)}")
        for file in files:
            print(f"wrote {file}")
    return 1 if any(result.state == "failed" for result in results) else 0


def _peer(name: str, settings: Settings) -> Peer:
    kind = PEERS[name]
    return kind(settings.ours) if issubclass(kind, Ours) else kind()


def _differences(bench: Bench, results: Sequence[Result]) -> dict[str, Difference]:
    done = [result.peer for result in results if result.state == "done"]
    if "ours" not in done:
        return {}
    lines = bench.layout.lines["test"]
    errors = {name: errors_of(lines, bench.readings(name)) for name in done}
    return {name: difference(errors["ours"], errors[name]) for name in done if name != "ours"}


def _settings(args: argparse.Namespace, available: int) -> Settings:
    threads = args.threads or available
    for name, value, low, high in (
        ("--minutes", args.minutes, 0.05, 10_000),
        ("--threads", threads, 1, available),
        ("--height", args.height, 16, 256),
        ("--validate-every", args.validate_every, 16, 10**9),
        ("--speed-lines", args.speed_lines, 1, 10**6),
        ("--train-lines", args.train_lines, 1, 10**9),
        ("--val-lines", args.val_lines, 1, 10**9),
        ("--test-lines", args.test_lines, 1, 10**9),
    ):
        if value is not None and not low <= value <= high:
            raise SettingsError(f"{name} must be within {low}..{high}, got {value}")
    return Settings(
        minutes=args.minutes,
        threads=threads,
        seed=args.seed,
        height=args.height,
        train_lines=args.train_lines,
        val_lines=args.val_lines,
        test_lines=args.test_lines,
        validate_every=args.validate_every,
        speed_lines=args.speed_lines,
        ours=tuple(map(_absolute, shlex.split(args.ours))),
    )


def _absolute(argument: str) -> str:
    """Return a path's absolute form, since training is started in a folder of its own; anything else as it is."""
    path = Path(argument)
    return str(path.resolve()) if (os.sep in argument or path.suffix) and path.exists() else argument


def _invented(out: Path, settings: Settings) -> LinesDataset:
    """Return invented lines, for a try without any data; they lie in the out folder."""
    from htr.synthesis import write_dataset

    folder = out / "invented"
    if not (folder / "dataset.json").is_file():
        _say(f"no --lines: inventing {INVENTED_LINES:,} of them")
        write_dataset(folder, num_lines=INVENTED_LINES, num_writers=60, seed=settings.seed)
    return LinesDataset.open(folder)


def _facts(dataset: LinesDataset, excluded: dict[str, int], load: float) -> dict[str, Any]:
    """Return what a reader of the figures wants to know about where they come from."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "lines": {"digest": dataset.digest, "excluded": excluded},
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_at_start": round(load, 2),
        "load_at_end": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


class _Alone:
    """Holds the out folder, so that two benches do not write into it at once."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def __enter__(self) -> None:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            self._file = (self._out / ".lock").open("w")
        except OSError as error:
            raise OutputError(
                f"{self._out}: cannot be written ({error.strerror}); choose another --out"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise SettingsError(
                f"{self._out}: another bench is at work there; wait, or choose another --out"
            ) from error

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _Shown:
    """Shows a count every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown > 5:
            self._shown = now
            _say(f"{done:,} of {total:,} {self._what}")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in PEERS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"unknown {unknown}; choose from {','.join(PEERS)}")
    return list(dict.fromkeys(names))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    add = parser.add_argument
    add("--lines", type=Path, help="lines dataset with train, val and test; invented lines by default")
    add("--minutes", type=float, default=18.0, help="wall clock of each training; default: %(default)g")
    add("--peers", type=_names, default=list(PEERS), help=f"default: {','.join(PEERS)}")
    add("--threads", type=int, help="cores that a peer may use; default: all")
    add("--out", type=Path, default=Path("build/bench"), help="folder of the results; default: %(default)s")
    add("--environments", type=Path, default=Path("build/peers"), help="their environments; default: %(default)s")
    add("--seed", type=int, default=1)
    add("--height", type=int, default=48, help="pixels that every line is scaled to; default: %(default)s")
    add("--train-lines", type=int, metavar="N", help="take only so many; default: all")
    add("--val-lines", type=int, metavar="N", default=300, help="default: %(default)s")
    add("--test-lines", type=int, metavar="N", help="take only so many; default: all")
    add("--validate-every", type=int, metavar="N", default=2016, help="training lines; default: %(default)s")
    add("--speed-lines", type=int, metavar="N", default=200, help="that reading is timed on; default: %(default)s")
    add("--ours", default="", metavar="ARGUMENTS", help="further ones of our train: --ours='--config mine.json'")
    return parser


if __name__ == "__main__":
    sys.exit(main())
