"""The command that looks for training settings: search."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from htr.bundle import Bundle
from htr.pretrained import resolve
from htr.versions import open_lines

if TYPE_CHECKING:
    from htr.search.trial import Trial
    from htr.train import Progress

Say = Callable[[str], None]


def add_parsers(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the parser; it sets ``handler(args, say) -> exit status``."""
    verb = verbs.add_parser(
        "search",
        help="look for training settings: learning rate, width, dropout, augmentation ...",
        description="Try training settings one after another, each led by those before it; weak ones are stopped "
        "early. The same command goes on with a search that was killed; a greater --trials continues one.",
    )
    verb.add_argument(
        "lines", help="lines dataset, or the address of one; trials are judged by its validation lines"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the search")
    verb.add_argument("--trials", type=int, required=True, metavar="N", help="how many there shall be in the end")
    verb.add_argument("--max-lines", type=int, required=True, metavar="M", help="lines shown in a full trial")
    verb.add_argument("--base", type=Path, metavar="BUNDLE", help="start every trial from this bundle")
    verb.add_argument("--config", type=Path, metavar="FILE", help="settings that every trial shares, JSON")
    verb.add_argument("--pruner", default="median", help="median, hyperband or none; default: %(default)s")
    verb.add_argument("--seed", type=int, default=1)
    verb.set_defaults(handler=_search)


def _search(args: argparse.Namespace, say: Say) -> int:
    from htr.search.config import SearchConfig
    from htr.search.plots import PLOT_FOLDER
    from htr.search.results import BEST
    from htr.search.run import search
    from htr.search.trial import best_of
    from htr.settings import read_settings

    config = SearchConfig(
        trials=args.trials,
        max_lines=args.max_lines,
        seed=args.seed,
        pruner=args.pruner,
        settings=read_settings(args.config) if args.config else {},
    )
    base = Bundle.open(resolve(args.base)) if args.base else None
    trials = search(open_lines(args.lines), args.out, config, watcher=_Shown(args.trials, say), base=base)
    best = best_of(trials)
    if not (args.out / PLOT_FOLDER).is_dir():
        say("no plots: fewer than two trials came to their end")
    say(f"best of {len(trials)}: trial {best.number}, validation CER {best.cer:.1%}: {args.out / BEST}")
    return 0


class _Shown:
    """Shows how far a search is: a line for every trial, and on stderr one for every epoch."""

    def __init__(self, total: int, say: Say) -> None:
        self._total = total
        self._say = say
        self._last = time.monotonic()

    def trial_begins(self, trial: "Trial") -> None:
        values = ", ".join(f"{name} {value:.3g}" for name, value in trial.sampled.items())
        known = f", goes on after epoch {max(trial.history)}" if trial.history else ""
        sys.stderr.write(f"trial {trial.number} ({trial.number + 1} of {self._total}){known}: {values}\n")

    def trial_trains(self, trial: "Trial", progress: "Progress") -> None:
        now = time.monotonic()
        if progress.stage != "training" or now - self._last < 5:
            return
        self._last = now
        left = f", {(progress.total - progress.done) / progress.rate:.0f} s left" if progress.rate else ""
        cer = f", validation CER {trial.history[max(trial.history)]:.1%}" if trial.history else ""
        sys.stderr.write(f"  {progress.done:,} of {progress.total:,} lines{left}{cer}\n")

    def trial_ends(self, trial: "Trial") -> None:
        found = f"CER {trial.cer:.1%}" if trial.cer is not None else trial.state
        epochs = f"after {len(trial.history)} epochs, {trial.seconds:.0f} s"
        self._say(f"trial {trial.number} ({trial.number + 1} of {self._total}): {found} {epochs}")
