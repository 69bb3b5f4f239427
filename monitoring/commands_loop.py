"""The command ``python -m monitoring page``: the state of the loop, for people."""

import argparse
import json
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

from htr.corrected_lines import CorrectedLines
from htr.correction_store import CorrectionStore
from htr.corrections import SAMPLE
from htr.errors import ServiceError, SettingsError
from htr.importers.corrections import last_words
from htr.metrics import count_errors
from monitoring.governor.addresses import without_user_info
from monitoring.governor.audit import Audit
from monitoring.governor.journal import read_journal
from monitoring.governor.policy import read_policy
from monitoring.loop.drawing import Points
from monitoring.loop.page import LoopFacts, render_page, trend, write_page
from monitoring.verdict import PAGE, read_verdict

ESTIMATE = "quillflow_estimated_cer"
NUM_STEPS = 200


def add_command(commands: Any) -> None:
    """Add the command to a parser's."""
    p = commands.add_parser("page", help="write the state of the loop as one offline HTML page")
    p.set_defaults(run=page)
    p.add_argument("--state", type=Path, required=True, metavar="DIR", help="the governor's state folder")
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the page goes")
    p.add_argument("--policy", type=Path, metavar="FILE", help="the governor's policy: says what it waits for")
    p.add_argument("--verdict", type=Path, metavar="FILE", help="the newest drift.json")
    p.add_argument("--corrections-store", type=Path, metavar="DIR", help="where the server keeps corrections")
    p.add_argument("--prometheus", metavar="URL", help="asked for the estimated error rate over time")
    p.add_argument("--run-url", default="", metavar="URL", help="link to a run, with {run_id} in it")
    p.add_argument(
        "--link",
        type=_link,
        action="append",
        default=[],
        metavar="TITLE=TO",
        help="one more link, to a file or an address; repeatable",
    )


def page(args: argparse.Namespace) -> int:
    """Write the page."""
    if not args.state.is_dir():
        raise SettingsError(f"{args.state}: no such state folder; give the one that serve-governor was given")
    records = read_journal(args.state)
    now = datetime.now(UTC)
    begun = records[0].time if records else now
    measured: dict[str, Points] = {}
    audited = {}
    if args.corrections_store is not None:
        measured["measured on audited lines"] = _measured(args.corrections_store, now - begun)
        found = Audit(lines=CorrectedLines(args.corrections_store)).measure()
        audited = {digest: (errors.cer, errors.lines) for digest, errors in found.items()}
    if args.prometheus:
        measured["estimated"] = estimated(args.prometheus, begun, now)
    links: list[tuple[str, Path | str]] = list(args.link)
    if args.verdict is not None and (args.verdict.parent / PAGE).exists():
        links.insert(0, ("Drift, feature by feature", args.verdict.parent / PAGE))
    facts = LoopFacts(
        records=records,
        now=now,
        state_dir=args.state,
        policy=read_policy(args.policy),
        verdict=read_verdict(args.verdict) if args.verdict is not None else None,
        measured=measured,
        audited=audited,
        links=links,
        run_url=args.run_url,
    )
    write_page(render_page(facts, args.out), args.out)
    print(args.out)  # noqa: T201 - a command
    return 0


def _measured(store: Path, span: timedelta) -> Points:
    counted = []
    with CorrectionStore(store).snapshot() as stored:
        for one, first in last_words(stored):
            if first.chosen_by == SAMPLE:
                errors = count_errors(one.new_text, one.old_text)
                counted.append((one.time, errors.edits, errors.characters))
    return trend(sorted(counted), over=max(timedelta(hours=1), span / 40))


def estimated(url: str, begun: datetime, ended: datetime) -> Points:
    """Return the estimated error rate over a time, as Prometheus has it.

    Raises:
        ServiceError: it does not answer, or not as Prometheus does.
    """
    span = max(60.0, (ended - begun).total_seconds())
    asked = {"query": f"max({ESTIMATE})", "start": begun.timestamp(), "end": ended.timestamp()}
    query = urllib.parse.urlencode({**asked, "step": max(1, round(span / NUM_STEPS))})
    try:
        address = f"{url.rstrip('/')}/api/v1/query_range?{query}"
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - a setting
            found = json.load(answer)["data"]["result"]
        values = found[0]["values"] if found else []
        return [(datetime.fromtimestamp(float(at), UTC), float(value)) for at, value in values]
    except (OSError, HTTPException, ValueError, KeyError, IndexError, TypeError) as error:
        said = f"Prometheus at {url}: {error}; check --prometheus"
        raise ServiceError(without_user_info(said, url)) from error


def _link(text: str) -> tuple[str, Path | str]:
    title, equals, to = text.partition("=")
    if not title or not equals or not to:
        raise argparse.ArgumentTypeError(f"expected TITLE=TO, got {text!r}")
    return title, to if "://" in to else Path(to)
