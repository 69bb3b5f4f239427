"""Starts runs on Kubeflow Pipelines, each once, however often the command is given and whatever answers get lost.

A run's name stands for what is asked for: pipeline, commit, site and arguments. Before a run is asked for it is
looked up by that name; so it is after an answer that did not come. Where one is there that runs or ended well,
that is the run. One that failed is followed by another, ``NAME-2``.
"""

import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htr.errors import ServiceError, SettingsError
from monitoring.governor.runs import RefusedError
from monitoring.kubeflow import ENDED, KfpServer
from pipelines.compiling import Compiled, compiled, contents_of
from pipelines.site import Site

logger = logging.getLogger(__name__)

LOOKS_S = (0.5, 2.0, 5.0)
"""Pauses between looks for a run whose answer was lost: the server may still be making it."""
MOST_ATTEMPTS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """A run that is there."""

    run_id: str
    name: str
    link: str
    found: bool
    """It was there before."""


def submit(
    server: KfpServer,
    site: Site,
    *,
    pipeline: str,
    arguments: Mapping[str, Any],
    commit: str,
    again: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Submitted:
    """Start a run, or find the one that was started.

    Args:
        server: the API.
        site: what the cluster wants of the steps.
        pipeline: ``training`` or ``search``.
        arguments: pipeline parameters, of the right types.
        commit: of the code, "" where nobody knows.
        again: start another one even where the same was run before.
        sleep: waits so many seconds.

    Raises:
        SettingsError: an argument is missing.
        RefusedError: the server said no; there is no run.
        ServiceError: nobody answers; the same command again finds the run, if there is one.
    """
    package = prepared(site, pipeline, arguments, commit)
    given = with_commit(arguments, commit)
    name = f"{package.name}-{commit or 'unknown'}-{_digest(package.digest, given)[:8]}"
    name, found = _free(server, name, again)
    if found is not None:
        return _there(server, str(found.run_id), name, found=True)
    version = upload(server, package, commit, sleep=sleep)
    fields = {
        "experiment_id": server.experiment(site.experiment),
        "display_name": name,
        "description": f"commit {commit or 'unknown'}",
        "version": version,
        "parameters": given,
        "service_account": site.service_account,
    }
    run_id = once(lambda: server.start(**fields), lambda: _id(server.run_named(name)), sleep=sleep)
    return _there(server, run_id, name, found=False)


def prepared(site: Site, pipeline: str, arguments: Mapping[str, Any], commit: str) -> Compiled:
    """Compile for these arguments: lines that are named by their digest let the first step be cached.

    Raises:
        SettingsError: the lines are not named.
    """
    if not arguments.get("lines"):
        raise SettingsError(
            "give the lines dataset: -p lines=ADDRESS, a folder or version that every step can reach"
        )
    contents = contents_of(
        str(arguments["lines"]),
        str(arguments.get("corrections", "")),
        float(arguments.get("held_back", 0.3)),
        site.image,
        site.tenant,
    )
    if commit.endswith("-dirty"):
        logger.warning("the working tree differs from its commit; the image %s may hold other code", site.image)
    return compiled(pipeline, site, contents=contents)


def with_commit(arguments: Mapping[str, Any], commit: str) -> dict[str, Any]:
    """Return arguments that say which code runs, unless they do already."""
    return {"git_commit": commit, **arguments}


def upload(
    server: KfpServer, package: Compiled, commit: str, *, sleep: Callable[[float], None]
) -> tuple[str, str]:
    """Have the pipeline's version there, by its commit; return the ids of pipeline and version.

    Somebody else may be uploading the same at the same time: the server takes a name once, and both find it.
    """
    version = package.version(commit)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{package.name}.yaml"
        file.write_text(package.text, encoding="utf-8")
        if not (pipeline_id := server.pipeline_named(package.name)):
            pipeline_id = once(
                lambda: server.upload(file, pipeline=package.name),
                lambda: server.pipeline_named(package.name),
                sleep=sleep,
            )
        if not (version_id := server.version_named(pipeline_id, version)):
            version_id = once(
                lambda: server.upload_version(file, pipeline_id=pipeline_id, name=version),
                lambda: server.version_named(pipeline_id, version),
                sleep=sleep,
            )
    return pipeline_id, version_id


def once(make: Callable[[], str], look: Callable[[], str], *, sleep: Callable[[float], None]) -> str:
    """Make something whose answer may be lost: look for it before giving up, and never make it twice.

    Args:
        make: asks for it; returns its id.
        look: returns the id of what is there, "" for nothing.
        sleep: waits so many seconds.
    """
    try:
        return make()
    except RefusedError:
        raise
    except ServiceError as error:
        for pause in LOOKS_S:
            sleep(pause)
            try:
                if made := look():
                    return made
            except ServiceError:
                continue
        raise ServiceError(
            f"{error}; not confirmed: give the same command again, it looks before it asks"
        ) from error


def _free(server: KfpServer, name: str, again: bool) -> tuple[str, Any | None]:
    """Return a name, and its run; of the last one that did not fail, or a free one."""
    for attempt in range(1, MOST_ATTEMPTS):
        tried = name if attempt == 1 else f"{name}-{attempt}"
        found = server.run_named(tried)
        if found is None:
            return tried, None
        failed = ENDED.get(str(found.state)) == "failed"
        if not failed and not again:
            return tried, found
    raise SettingsError(f"{name}: tried {MOST_ATTEMPTS} times; change something")


def _there(server: KfpServer, run_id: str, name: str, *, found: bool) -> Submitted:
    return Submitted(run_id=run_id, name=name, link=link_to(server, run_id), found=found)


def link_to(server: KfpServer, run_id: str) -> str:
    """Return the address of a run's page."""
    return f"{server.access.host}/#/runs/details/{run_id}"


def _id(run: Any | None) -> str:
    return str(run.run_id) if run is not None else ""


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
