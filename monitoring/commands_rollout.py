"""The commands ``python -m monitoring rollout start | step | status | abort``."""

import argparse
import json
import logging
import os
from pathlib import Path
from typing import Any

from htr.errors import SettingsError
from htr.tenants import Tenant
from k8s.cluster.api import find_api
from k8s.cluster.release import CANARY, HTTP_ROUTE, NAMESPACE, STABLE, Route, Servers
from monitoring.governor.clock import GovernedClock
from monitoring.governor.registry import MlflowRegistry
from monitoring.rollout.guard import Guard
from monitoring.rollout.journal import Journal
from monitoring.rollout.pairs import LoggedPairs, PairSource, Probes
from monitoring.rollout.parts import Parts
from monitoring.rollout.policy import read_policy
from monitoring.rollout.records import Done, Looked, Started
from monitoring.rollout.sources import Pages, Prometheus, Source


def add_command(commands: Any) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser("rollout", help="give a new bundle its traffic step by step, or take it back")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    verb = verbs.add_parser("start", help="begin to try the bundle that the canary is told to serve")
    verb.set_defaults(run=start)
    _add_parts(verb)
    _add_policy(verb)
    verb.add_argument("--again", action="store_true", help="also where that bundle was tried before")

    verb = verbs.add_parser("step", help="look once, and do what follows; a timer calls this")
    verb.set_defaults(run=step)
    _add_parts(verb)
    verb.add_argument(
        "--begin",
        action="store_true",
        help="where none is under way and the canary holds a bundle never tried, start",
    )
    _add_policy(verb)

    verb = verbs.add_parser("status", help="say how far it has come, and why")
    verb.set_defaults(run=status)
    _add_state(verb)
    verb.add_argument("--json", action="store_true", help="for programs")

    verb = verbs.add_parser("abort", help="end it: all traffic to the stable server and its bundle")
    verb.set_defaults(run=abort)
    _add_parts(verb)
    verb.add_argument("--reason", default="", help="is written down")


def start(args: argparse.Namespace) -> int:
    """Begin a rollout."""
    with Journal(args.state).alone() as journal:
        _guard(args, journal).start(read_policy(args.policy), again=args.again)
    return 0


def step(args: argparse.Namespace) -> int:
    """Take one step."""
    with Journal(args.state).alone() as journal:
        guard = _guard(args, journal)
        if args.begin and not journal.state.is_active and guard.is_untried():
            guard.start(read_policy(args.policy))
        guard.step()
    return 0


def abort(args: argparse.Namespace) -> int:
    """End a rollout."""
    with Journal(args.state).alone() as journal:
        _guard(args, journal).abort(args.reason)
    return 0


def status(args: argparse.Namespace) -> int:
    """Print what the journal adds up to."""
    if not args.state.is_dir():
        raise SettingsError(f"{args.state}: no such state folder; give the one that rollout start was given")
    journal = Journal(args.state)
    journal.read()
    state = journal.state
    if args.json:
        _say(
            json.dumps(
                {
                    "rollout": state.rollout.id if state.rollout else None,
                    "phase": state.phase,
                    "weights": {"stable": state.weights.stable, "canary": state.weights.canary},
                    "mirrored": state.weights.mirrored,
                    "pending": state.pending,
                    "reason": state.reason,
                    "results": {digest: list(result) for digest, result in state.results.items()},
                }
            )
        )
        return 0
    for record in journal.records:
        if (told := _told(record.event)) is not None:
            _say(f"{record.time.isoformat(timespec='seconds')}  {told}")
    newest = next((one.event for one in reversed(journal.records) if isinstance(one.event, Looked)), None)
    if newest is not None and state.is_active:
        _say(f"now {state.phase}, weights {state.weights.stable} : {state.weights.canary}; {state.reason}")
        for finding in newest.findings:
            _say(f"  {finding}")
    if not journal.records:
        _say("no rollout yet")
    return 0


def _told(event: object) -> str | None:
    """Return what a record says to people, None where it only waits."""
    match event:
        case Started():
            return f"started {event.id}: {event.canary_uri} beside {event.stable_uri}"
        case Looked() if event.choice != "hold":
            return f"{event.choice.replace('_', ' ')}: {event.reason}"
        case Done() if event.said:
            return f"done: {event.said}"
    return None


def _guard(args: argparse.Namespace, journal: Journal) -> Guard:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    api = find_api(args.kubernetes)
    parts = Parts(
        servers=Servers(api=api, namespace=args.namespace),
        route=Route(api=api, namespace=args.namespace, name=args.route, stable=args.stable, canary=args.canary),
        source=_source(args),
        pairs=_pairs(args),
        registry=MlflowRegistry(
            tracking_uri=args.tracking_uri, name=Tenant.of(os.environ).registered(args.model_name)
        )
        if args.tracking_uri
        else None,
        writes_stable=not args.gitops,
    )
    return Guard(journal=journal, clock=GovernedClock(journal.state.at, journal.state.time), parts=parts, say=_say)


def _source(args: argparse.Namespace) -> Source:
    if args.prometheus:
        return Prometheus(
            url=args.prometheus, stable=args.select_stable, canary=args.select_canary, token_file=args.token_file
        )
    if not args.stable_url or not args.canary_url:
        raise SettingsError("where are the metrics? Give --prometheus, or both --stable-url and --canary-url")
    return Pages(stable=tuple(args.stable_url), canary=tuple(args.canary_url), token_file=args.token_file)


def _pairs(args: argparse.Namespace) -> PairSource | None:
    if args.probe is not None:
        if not args.stable_url or not args.canary_url:
            raise SettingsError("--probe wants to know both servers: give --stable-url and --canary-url, too")
        return Probes(
            lines=args.probe, stable=args.stable_url[0], canary=args.canary_url[0], token_file=args.token_file
        )
    if (args.stable_log is None) != (args.canary_log is None):
        raise SettingsError("mirrored requests are found in both logs: give --stable-log and --canary-log")
    if args.stable_log is not None:
        return LoggedPairs(stable=args.stable_log, canary=args.canary_log)
    return None


def _add_state(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--state", type=Path, required=True, metavar="DIR", help="where the journal is kept")


def _add_policy(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--policy", type=Path, metavar="TOML", help="steps and margins (docs/rollout.md)")


def _add_parts(verb: argparse.ArgumentParser) -> None:
    _add_state(verb)
    where = verb.add_argument_group("the cluster")
    where.add_argument("--kubernetes", default="", metavar="URL", help="its API; in a pod it is found by itself")
    where.add_argument("--namespace", default=NAMESPACE, help="(default: %(default)s)")
    where.add_argument("--route", default=HTTP_ROUTE, help="HTTPRoute over both (default: %(default)s)")
    where.add_argument("--stable", default=STABLE, help="InferenceService (default: %(default)s)")
    where.add_argument("--canary", default=CANARY, help="InferenceService (default: %(default)s)")
    where.add_argument(
        "--gitops", action="store_true", help="wait for a commit to tell the stable server its bundle"
    )
    seen = verb.add_argument_group("what is compared")
    seen.add_argument("--prometheus", metavar="URL", help="ask Prometheus")
    seen.add_argument(
        "--select-stable", default='job="quillflow-serving"', metavar="LABELS", help="(default: %(default)s)"
    )
    seen.add_argument(
        "--select-canary", default='job="quillflow-canary"', metavar="LABELS", help="(default: %(default)s)"
    )
    seen.add_argument("--stable-url", action="append", metavar="URL", help="or the server itself; repeatable")
    seen.add_argument("--canary-url", action="append", metavar="URL")
    seen.add_argument("--token-file", type=Path, metavar="FILE", help="token for the metrics and the servers")
    seen.add_argument("--probe", type=Path, metavar="DIR", help="lines dataset whose lines are sent to both")
    seen.add_argument(
        "--stable-log", type=Path, metavar="DIR", help="image logs in which mirrored requests are found"
    )
    seen.add_argument("--canary-log", type=Path, metavar="DIR")
    back = verb.add_argument_group("the registry")
    back.add_argument(
        "--tracking-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI", ""),
        metavar="URI",
        help="MLflow, where `champion` is moved back with the canary (default: MLFLOW_TRACKING_URI)",
    )
    back.add_argument("--model-name", default="quillflow", help="(default: %(default)s)")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's answer
