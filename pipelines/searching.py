"""The command that searches for training settings here: side by side by the pipeline, or pruned one by one.

ROOT/search/          best.json, trials.csv and search.html of the pipeline
ROOT/pruned-search/   those of the pruned search, with its study: see htr.search
ROOT/mlflow.db        MLflow's database, unless another one is named
"""

import argparse
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.commit import git_commit
from pipelines.local import default_tracking_uri, run_shown

FILES = {"best": "best.json", "table": "trials.csv", "page": "search.html"}


def add_parser(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", *, show: Callable[[str], None]
) -> None:
    """Register the command.

    Args:
        verbs: where.
        show: shows a line to the user.
    """
    verb = verbs.add_parser("search", help="look for training settings here, recorded in MLflow")
    verb.add_argument("--lines", type=Path, required=True, help="lines dataset")
    verb.add_argument("--root", type=Path, default=Path("search"), help="folder for everything; default: search")
    verb.add_argument("--trials", type=int, default=16)
    verb.add_argument("--max-lines", type=int, default=20_000, help="lines shown in a full trial")
    verb.add_argument("--base", type=Path, help="bundle that every trial starts from")
    verb.add_argument("--config", type=Path, help="settings that every trial shares, JSON")
    verb.add_argument("--seed", type=int, default=1)
    verb.add_argument(
        "--pruned",
        action="store_true",
        help="one after another, each led by those before it and weak ones stopped early; left out: all sampled "
        "up front and run side by side, as on a cluster",
    )
    verb.set_defaults(handler=partial(_search, show=show))


def _search(args: argparse.Namespace, *, show: Callable[[str], None]) -> int:
    from htr.settings import read_settings

    settings = read_settings(args.config) if args.config else {}
    base = str(args.base.resolve()) if args.base else ""
    if args.pruned:
        return _search_pruned(args, settings, base, show)
    arguments = {
        "lines": str(args.lines.resolve()),
        "trials": args.trials,
        "max_lines": args.max_lines,
        "seed": args.seed,
        "base": base,
        "settings": settings,
        "tracking_uri": default_tracking_uri(args.root),
        "work": str(args.root.resolve() / "search" / "checkpoints"),
        "git_commit": git_commit(),
    }
    run_search({name: value for name, value in arguments.items() if value != ""}, args.root, show=show)
    return 0


def run_search(arguments: Mapping[str, Any], root: Path, *, show: Callable[[str], None]) -> None:
    """Run the search pipeline, show its progress, put what it found where it is found again."""
    outcome = run_shown(arguments, root, show=show, name="search", pipeline="search")
    for name, file in FILES.items():
        (root / "search").mkdir(exist_ok=True)
        shutil.copyfile(outcome[name], root / "search" / file)
    show(f"validation CER {outcome['cer']:.1%}; best settings, table and page: {root / 'search'}")


def _search_pruned(
    args: argparse.Namespace, settings: dict[str, Any], base: str, show: Callable[[str], None]
) -> int:
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # read when it is imported; trials tell enough
    warnings.filterwarnings("ignore", module="mlflow")
    from components.search.recorded import search_recorded

    out = args.root / "pruned-search"
    args.root.mkdir(parents=True, exist_ok=True)
    cer = search_recorded(
        args.lines,
        out,
        base=base,
        settings=settings,
        trials=args.trials,
        max_lines=args.max_lines,
        seed=args.seed,
        tracking_uri=default_tracking_uri(args.root),
        git_commit=git_commit(),
    )
    show(f"validation CER {cer:.1%}; best settings, table and page: {out}")
    return 0
