"""python -m pipelines compile | submit | schedule | doctor | run | search | loop | up | fsck."""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path

from htr.errors import QuillflowError, SettingsError
from htr.tenants import Tenant
from pipelines import commands_cluster, commands_fsck, searching
from pipelines.arguments import parameters
from pipelines.children import stop_on_signals
from pipelines.commit import git_commit

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
"""Set unless the user set them: nothing here phones home, and models are never unpickled."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 2 a mistake that the message explains."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    stop_on_signals()
    args = _parser().parse_args(argv)
    try:
        Tenant.of(os.environ).check_options(vars(args).values())
        status: int = args.handler(args)
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror}; choose another folder", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    commands_cluster.add_parsers(verbs, show=lambda text: print(text, flush=True))

    verb = verbs.add_parser("run", help="run the pipeline here, without a cluster")
    verb.add_argument("--root", type=Path, required=True, help="folder for artifacts, MLflow and logs")
    verb.add_argument("--in-process", action="store_true", help="show everything that KFP prints")
    verb.add_argument("--result", type=Path, help="with --in-process: file for what the run came to")
    commands_cluster.add_pipeline(verb)
    commands_cluster.add_parameters(verb)
    verb.set_defaults(handler=_run)

    searching.add_parser(verbs, show=lambda text: print(text, flush=True))

    commands_fsck.add_parser(verbs, show=lambda text: print(text, flush=True))

    verb = verbs.add_parser("loop", help="drive the whole loop: train, serve, notice a new hand, retrain")
    verb.add_argument("--runs", type=Path, default=Path("runs"), help="folder that every loop gets a folder in")
    verb.add_argument("--lines", type=Path, help="lines dataset to run on; left out: invented writers")
    verb.add_argument(
        "--arriving", type=Path, help="lines dataset of the new hand; left out: set aside from --lines"
    )
    verb.add_argument("--seed", type=int, default=1)
    verb.add_argument("--budget", type=int, default=8_000, help="lines shown in the first training (%(default)s)")
    verb.add_argument(
        "--corrections", type=int, default=160, help="lines of the new hand that get corrected (%(default)s)"
    )
    verb.set_defaults(handler=_loop)

    verb = verbs.add_parser("up", help="MLflow's pages and the model server on a run's champion")
    verb.add_argument("--run", type=Path, default=Path("runs/latest"))
    verb.add_argument("--mlflow-port", type=int, default=5000, help="%(default)s")
    verb.add_argument("--http-port", type=int, default=8080, help="%(default)s")
    verb.add_argument("--grpc-port", type=int, default=8081, help="%(default)s")
    verb.set_defaults(handler=_up)
    return parser


def _run(args: argparse.Namespace) -> int:
    from pipelines.local import default_tracking_uri, end_told, run_in_process, run_shown

    arguments = {
        "tracking_uri": default_tracking_uri(args.root),
        "work": str(args.root.resolve() / "checkpoints"),
        "git_commit": git_commit(),
        **parameters(args.parameter, args.pipeline),
    }
    if "lines" not in arguments:
        raise SettingsError("give the lines dataset: -p lines=DIR")
    for name in ("lines", "corrections", "base"):
        if arguments.get(name):  # steps run in folders of their own
            arguments[name] = str(Path(arguments[name]).resolve())
    governor = arguments.pop("governor", "")
    if args.in_process:
        outcome = run_in_process(arguments, args.root, pipeline=args.pipeline)
        if args.result:
            args.result.write_text(json.dumps(outcome, indent=2), encoding="utf-8")
        return 0
    show = partial(print, flush=True)
    with end_told(governor, args.root, pipeline=args.pipeline, show=show):
        if args.pipeline == "search":
            searching.run_search(arguments, args.root, show=show)
            return 0
        outcome = run_shown(arguments, args.root, show=show)
    done = "promoted" if outcome["promoted"] else "registered, not promoted"
    print(f"version {outcome['version']} {done}; all results: {args.root / 'pipeline.json'}")
    return 0


def _loop(args: argparse.Namespace) -> int:
    from pipelines.loop import Loop
    from pipelines.summary import Screen

    loop = Loop(
        runs=args.runs,
        seed=args.seed,
        budget=args.budget,
        num_corrections=args.corrections,
        git_commit=git_commit(),
        screen=Screen(lambda text: print(text, flush=True)),
    )
    loop.run(lines=args.lines, arriving=args.arriving)
    return 0


def _up(args: argparse.Namespace) -> int:
    from pipelines.up import up

    return up(
        args.run,
        mlflow_port=args.mlflow_port,
        http_port=args.http_port,
        grpc_port=args.grpc_port,
        show=lambda text: print(text, flush=True),
    )


if __name__ == "__main__":
    sys.exit(main())
