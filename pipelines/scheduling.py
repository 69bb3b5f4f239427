"""Recurring runs on Kubeflow Pipelines: one of a name, and given twice it stays one."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from htr.errors import ServiceError, SettingsError
from monitoring.kubeflow import KfpServer
from pipelines.site import Site
from pipelines.submitting import once, prepared, upload, with_commit

_FIELD = r"[0-9*/,?LW#A-Z-]+"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheduled:
    """What became of a schedule."""

    schedule_id: str
    name: str
    done: Literal["made", "replaced", "unchanged", "paused"]
    """``paused``: the same is there already, and somebody switched it off."""


def schedule(
    server: KfpServer,
    site: Site,
    *,
    pipeline: str,
    arguments: Mapping[str, Any],
    commit: str,
    cron: str,
    name: str,
    sleep: Callable[[float], None] = time.sleep,
) -> Scheduled:
    """Have exactly one schedule of that name, of these settings.

    At most one run at a time, and what was missed is not made up for: a training learns from all lines that are
    there, so that one does for many.

    Args:
        server: the API.
        site: what the cluster wants of the steps.
        pipeline: ``training`` or ``search``.
        arguments: pipeline parameters, of the right types.
        commit: of the code, "" where nobody knows.
        cron: when, five fields as cron has them, or six with seconds before them as KFP has them; UTC.
        name: of the schedule.
        sleep: waits so many seconds.

    Raises:
        SettingsError: the times cannot be read, or an argument is missing.
        ServiceError: nobody answers, or the server refuses.
    """
    times = six_fields(cron)
    package = prepared(site, pipeline, arguments, commit)
    given = with_commit(arguments, commit)
    wanted = [times, package.version(commit), given, site.experiment, site.service_account]
    stamp = "quillflow " + hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    there = server.schedules_named(name)
    same = [one for one in there if (one.description or "").startswith(stamp)]
    for one in there:  # before a new one is made: two of them could both start a training
        if not same or one.recurring_run_id != same[0].recurring_run_id:
            server.unschedule(str(one.recurring_run_id))
    if same:
        paused = str(same[0].status) == "DISABLED"
        return Scheduled(
            schedule_id=str(same[0].recurring_run_id), name=name, done="paused" if paused else "unchanged"
        )
    fields = {
        "experiment_id": server.experiment(site.experiment),
        "display_name": name,
        "description": f"{stamp}, commit {commit or 'unknown'}",
        "version": upload(server, package, commit, sleep=sleep),
        "parameters": given,
        "service_account": site.service_account,
        "cron": times,
        "max_concurrency": "1",
        "no_catchup": True,
        "mode": "ENABLE",
    }
    made = once(lambda: server.schedule(**fields), lambda: _newest(server, name, stamp), sleep=sleep)
    return Scheduled(schedule_id=made, name=name, done="replaced" if there else "made")


def unschedule(server: KfpServer, name: str) -> int:
    """Remove every schedule of a name; return how many there were. Runs that they made stay.

    Raises:
        ServiceError: one is still there afterwards.
    """
    there = server.schedules_named(name)
    for one in there:
        server.unschedule(str(one.recurring_run_id))
    if left := server.schedules_named(name):
        raise ServiceError(f"{server.access.host}: {len(left)} schedules {name!r} are still there; try again")
    return len(there)


def six_fields(cron: str) -> str:
    """Return times as KFP takes them, seconds first.

    Raises:
        SettingsError: they cannot be read.
    """
    fields = cron.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6 or not all(re.fullmatch(_FIELD, one) for one in fields):
        raise SettingsError(f'--cron {cron!r}: expected five fields, such as "30 3 * * 1" for Mondays at 3:30 UTC')
    return " ".join(fields)


def _newest(server: KfpServer, name: str, stamp: str) -> str:
    found = [one for one in server.schedules_named(name) if (one.description or "").startswith(stamp)]
    return str(found[0].recurring_run_id) if found else ""
