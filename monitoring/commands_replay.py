"""The command ``python -m monitoring replay``: why the governor decided so, or would under another policy."""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from htr.errors import SettingsError
from monitoring.governor.events import Record
from monitoring.governor.journal import read_journal
from monitoring.governor.policy import read_policy
from monitoring.governor.replay import Replayed, described, explain, redecide


def add_command(commands: Any) -> None:
    """Add the command to a parser's."""
    r = commands.add_parser("replay", help="why each decision was taken; or what another policy would decide")
    r.set_defaults(run=replay)
    r.add_argument("--state", type=Path, required=True, metavar="DIR", help="the governor's state folder")
    r.add_argument("--policy", type=Path, metavar="FILE", help="decide the recorded history anew under this one")


def replay(args: argparse.Namespace) -> int:
    """Show why each decision was taken; with --policy, what another policy would have decided."""
    if not args.state.is_dir():
        raise SettingsError(f"{args.state}: no such state folder; give the one that serve-governor was given")
    policy = read_policy(args.policy) if args.policy is not None else None
    records = read_journal(args.state)
    replayed: Iterable[Replayed] = explain(records) if policy is None else redecide(records, policy)
    number = differing = 0
    for one in replayed:
        if one.is_quiet:
            continue
        number += 1
        differing += one.differs
        _show(one, other=policy is not None)
    if policy is not None:
        _say(f"{differing} of {number} would be decided otherwise under {args.policy}")
    elif differing:
        _say(f"{differing} of {number} would be decided otherwise by the rules of this release")
    if not records:
        _say("no decisions yet")
    return 0


def in_one_line(record: Record) -> str:
    """Return a record of the journal as people read it."""
    decision = record.decision
    key = f"  [{decision.key}]" if decision.key else ""
    time = record.time.isoformat(timespec="seconds")
    return f"{time}  {decision.choice}{key}  {described(record.event)}: {decision.reason}"


def _show(one: Replayed, *, other: bool) -> None:
    seq = str(one.seq) if one.seq else "-"
    time = one.time.isoformat(timespec="seconds")
    was = one.was
    if was is not None:
        _say(f"{seq:>5}  {time}  {described(one.event):<28}  {was.choice}: {was.reason}")
    if one.differs or (was is None and other):
        lead = "" if was is not None else f"{seq:>5}  {time}  {described(one.event):<28}  "
        _say(f"{lead or ' ' * 7}would be  {one.now.choice}: {one.now.reason}")


def _say(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201 - a command
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
