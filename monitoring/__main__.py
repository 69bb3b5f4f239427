"""The commands ``python -m monitoring check | retrain | history``."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from htr.bundle import ERROR_MODEL, REFERENCE, Bundle
from htr.error_model import ErrorModel
from htr.errors import BundleError, QuillflowError, SettingsError
from htr.lines import LinesDataset
from htr.prediction_log import read_log
from htr.tenants import Tenant
from monitoring.columns import read_reference
from monitoring.commands_governor import add_command as add_governor
from monitoring.commands_loop import add_command
from monitoring.commands_replay import add_command as add_replay
from monitoring.commands_replay import in_one_line
from monitoring.commands_rollout import add_command as add_rollout
from monitoring.decisions import Decision, DecisionLog
from monitoring.drift import compare
from monitoring.error_rate import estimate_error, measure_error
from monitoring.governor.journal import read_journal
from monitoring.policy import Request
from monitoring.retrain import KfpLauncher, Launcher, LocalLauncher, RetrainGuard
from monitoring.screen import print_verdict
from monitoring.sequence import History, Window, find_alert
from monitoring.verdict import PAGE, VERDICT, read_verdict, write_verdict

EXIT_CODES = {"quiet": 0, "drift": 3, "not_enough": 4}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 2 for an error, and with ``check --exit-code`` 3 or 4."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # before Evidently is imported
    try:
        args = _parser().parse_args(argv)
        Tenant.of(os.environ).check_options(vars(args).values())
        return int(args.run(args))
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def check(args: argparse.Namespace) -> int:
    """Compare the prediction log with a reference; print and write the verdict."""
    digest, model = None, None
    if args.bundle is not None:
        bundle = Bundle.open(args.bundle)
        if REFERENCE not in bundle.files:
            raise BundleError(f"{args.bundle}: has no {REFERENCE}; evaluate the model, which adds one")
        digest, file = bundle.digest, bundle.path / REFERENCE
        model = ErrorModel.load(bundle.path / ERROR_MODEL) if ERROR_MODEL in bundle.files else None
    else:
        file = args.reference
    wanted = None if args.all_models else digest
    reference = read_reference(file)
    current = read_log(args.log, since=args.since, bundle_digest=wanted, newest=args.newest)
    verdict, page = compare(
        reference,
        current,
        alpha=args.alpha,
        min_rows=args.min_rows,
        by_request=not args.independent_lines,
        bundle_digest=digest,
        estimated=estimate_error(model, reference, current) if model else None,
        measured=measure_error(args.corrections, digest) if args.corrections else None,
        draw=True,
    )
    if args.history is not None:
        windows = History(args.history).add(Window.of(verdict, datetime.now(UTC)))
        verdict = replace(verdict, alert=find_alert(windows, needed=args.alert[0], of=args.alert[1]))
    write_verdict(verdict, args.out, page)
    print_verdict(verdict, args.out, _say)
    if wanted and not len(current) and (others := len(read_log(args.log, since=args.since))):
        _say(f"The log holds {others} readings by other models; --all-models compares them too.")
    return EXIT_CODES[verdict.state] if args.exit_code else 0


def retrain(args: argparse.Namespace) -> int:
    """Decide about a verdict, and start the pipeline when it is to be."""
    # Nobody may have corrected anything yet: that is a reason to ask for labels, not an error.
    corrections = LinesDataset.open(args.corrections) if args.corrections.exists() else None
    arguments = {"corrections": str(args.corrections.absolute()), **dict(args.parameters)}
    request = Request(
        verdict=read_verdict(args.verdict),
        champion_digest=Bundle.open(args.bundle).digest,
        corrections_digest=corrections.digest if corrections else "",
        num_corrections=len(corrections) if corrections else 0,
        min_corrections=args.min_corrections,
        cause="drift check, repeated by hand" if args.again else "drift check",
        again=args.again,
    )
    launcher: Launcher
    if args.local_root is not None:
        launcher = LocalLauncher(root=args.local_root)
    else:
        if args.package is None:
            raise SettingsError("--kfp-host needs --package, the YAML that `python -m pipelines compile` wrote")
        launcher = KfpLauncher(host=args.kfp_host, package=args.package)
        launcher.check(arguments)  # before a decision is written that cannot be carried out
    decision = RetrainGuard(args.state).consider(request, launcher, arguments, announce=_print_decision)
    if decision.run_id:
        _say(f"run: {decision.run_id}")
    return 0


def history(args: argparse.Namespace) -> int:
    """Print every decision, oldest first."""
    if not args.state.is_dir():
        raise SettingsError(f"{args.state}: no such state folder; give the one that retrain was given")
    found = DecisionLog(args.state).read()
    for decision in found.decisions:
        outcome = " ".join(word for word in (decision.outcome, decision.run_id) if word)
        what = f"{decision.decision} ({outcome})" if outcome else decision.decision
        _say(f"{decision.time.isoformat(timespec='seconds')}  {what}  [{decision.key[:12]}]  {decision.reason}")
    if found.skipped:
        _say(f"skipped half-written lines: {', '.join(map(str, found.skipped))}")
    records = read_journal(args.state)
    for record in records:
        if not record.is_quiet:
            _say(in_one_line(record))
    if not found.decisions and not records:
        _say("no decisions yet")
    return 0


def _print_decision(decision: Decision) -> None:
    _say(f"{decision.decision}: {decision.reason}")  # at once: before the pipeline's own output


def _say(text: str) -> None:
    """Print a line at once; where nobody reads on, go on without: what was decided is carried out all the same."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # what is left of it, and all that comes, is written nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m monitoring", description="Watch the champion at work.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    c = commands.add_parser("check", help="has the handwriting drifted?")
    c.set_defaults(run=check)
    reference = c.add_mutually_exclusive_group(required=True)
    reference.add_argument("--bundle", type=Path, metavar="DIR", help="compare with this model's reference")
    reference.add_argument("--reference", type=Path, metavar="FILE", help="compare with these profile rows")
    c.add_argument("--log", type=Path, required=True, metavar="DIR", help="the prediction log")
    c.add_argument("--out", type=Path, required=True, metavar="DIR", help=f"where {VERDICT} and {PAGE} go")
    c.add_argument("--newest", type=_positive, metavar="N", help="the newest N readings only")
    c.add_argument(
        "--since", type=_time, metavar="ISO", help="readings from then on; UTC unless it says otherwise"
    )
    c.add_argument("--alpha", type=float, default=0.01, help="bound on false alarms a check (default 0.01)")
    c.add_argument(
        "--min-rows", type=_positive, default=100, metavar="N", help="fewer make no verdict (default 100)"
    )
    c.add_argument("--all-models", action="store_true", help="readings by other models than --bundle too")
    c.add_argument(
        "--independent-lines",
        action="store_true",
        help="take lines of one request for independent; by default whole requests and pages are shuffled",
    )
    c.add_argument("--corrections", type=Path, metavar="DIR", help="store of corrections, to measure the CER on")
    c.add_argument(
        "--history", type=Path, metavar="FILE", help="add this check to those before it, and say --alert"
    )
    c.add_argument(
        "--alert",
        type=_alert,
        default=(2, 3),
        metavar="M/N",
        help="drifted windows that make an alert (default 2/3)",
    )
    c.add_argument("--exit-code", action="store_true", help="exit with 3 for drift, 4 for not enough readings")

    r = commands.add_parser("retrain", help="start a training, if the verdict asks for one")
    r.set_defaults(run=retrain)
    r.add_argument("--verdict", type=Path, required=True, metavar="FILE", help=f"a {VERDICT}")
    r.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="the champion")
    r.add_argument("--corrections", type=Path, required=True, metavar="DIR", help="lines dataset of corrections")
    r.add_argument("--state", type=Path, required=True, metavar="DIR", help="where decisions are kept")
    r.add_argument("--min-corrections", type=_positive, default=50, metavar="N", help="fewer are asked for first")
    where = r.add_mutually_exclusive_group(required=True)
    where.add_argument("--local-root", type=Path, metavar="DIR", help="run the pipeline here, under this folder")
    where.add_argument("--kfp-host", metavar="URL", help="hand the pipeline to Kubeflow Pipelines")
    r.add_argument("--package", type=Path, metavar="YAML", help="the compiled pipeline, for --kfp-host")
    r.add_argument(
        "-p",
        dest="parameters",
        type=_parameter,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of the pipeline; corrections is set to --corrections unless given here",
    )
    r.add_argument("--again", action="store_true", help="repeat a training, whatever came of it")

    h = commands.add_parser("history", help="print every decision about retraining")
    h.set_defaults(run=history)
    h.add_argument("--state", type=Path, required=True, metavar="DIR", help="where decisions are kept")

    add_governor(commands)
    add_replay(commands)
    add_command(commands)
    add_rollout(commands)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return int(text)


def _alert(text: str) -> tuple[int, int]:
    needed, slash, of = text.partition("/")
    if not (slash and needed.isdecimal() and of.isdecimal() and 1 <= int(needed) <= int(of) <= 100):
        raise argparse.ArgumentTypeError(f"expected a pair M/N such as 2/3, M from 1 to N, got {text!r}")
    return int(needed), int(of)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a time like 2026-11-20T12:00, got {text!r}") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
