"""The verbs for a cluster: compile, submit, schedule, doctor."""

import argparse
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from htr.errors import SettingsError, TenantError
from htr.tenants import Tenant
from pipelines.arguments import parameters
from pipelines.commit import git_commit
from pipelines.site import Site, read_site

logger = logging.getLogger(__name__)

Show = Callable[[str], None]
ENDPOINT = "KF_PIPELINES_ENDPOINT"


def add_parsers(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", *, show: Show) -> None:
    """Add the verbs to a command line."""
    verb = verbs.add_parser("compile", help="write a pipeline as YAML for Kubeflow")
    add_pipeline(verb)
    _add_site(verb)
    verb.add_argument("--out", type=Path, help="default: build/pipeline.yaml, or build/search.yaml")
    verb.add_argument(
        "--kubernetes-manifest-format",
        action="store_true",
        help="as manifests, for a KFP that keeps its pipelines in Kubernetes",
    )
    verb.set_defaults(handler=lambda args: _compile(args, show))

    verb = verbs.add_parser("submit", help="start a run on a Kubeflow Pipelines server, once")
    _add_server(verb)
    add_pipeline(verb)
    add_parameters(verb)
    _add_unchecked(verb)
    verb.add_argument("--again", action="store_true", help="start another one though the same was run before")
    verb.add_argument("--wait", action="store_true", help="watch it to its end; exit status 1 where it fails")
    verb.add_argument("--every", type=float, default=10.0, metavar="S", help="seconds between looks (%(default)s)")
    verb.set_defaults(handler=lambda args: _submit(args, show))

    verb = verbs.add_parser(
        "schedule", help="have a pipeline run again and again; given twice it stays one schedule"
    )
    _add_server(verb)
    add_pipeline(verb)
    add_parameters(verb)
    _add_unchecked(verb)
    verb.add_argument("--cron", help='when, in UTC: "30 3 * * 1" is Mondays at 3:30')
    verb.add_argument("--name", default="quillflow", help="of the schedule (%(default)s)")
    verb.add_argument("--remove", action="store_true", help="remove the schedule of that name")
    verb.set_defaults(handler=lambda args: _schedule(args, show))

    verb = verbs.add_parser("doctor", help="check everything that the pipeline depends on, from here")
    _add_server(verb)
    verb.add_argument("--tracking-uri", default="", help="MLflow's; default: MLFLOW_TRACKING_URI")
    verb.add_argument("--store", default="", help="the object store's address; default: QUILLFLOW_STORE")
    verb.add_argument(
        "--root", type=Path, default=Path("runs"), help="folder whose disk is looked at (%(default)s)"
    )
    verb.add_argument("--json", action="store_true", help="tell it as JSON")
    verb.set_defaults(handler=lambda args: _doctor(args, show))


def add_pipeline(verb: argparse.ArgumentParser) -> None:
    """Add the option that chooses the pipeline."""
    verb.add_argument("--pipeline", choices=("training", "search"), default="training", help="default: training")


def _add_unchecked(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--unchecked", action="store_true", help="do not look whether the namespace has room for its steps"
    )


def add_parameters(verb: argparse.ArgumentParser) -> None:
    """Add the option that sets a pipeline's parameters."""
    verb.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="pipeline parameter; repeatable",
    )


def _add_site(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--site", type=Path, help="the cluster's settings, TOML (docs/kubeflow.md); default: QUILLFLOW_SITE"
    )


def _add_server(verb: argparse.ArgumentParser) -> None:
    _add_site(verb)
    verb.add_argument("--host", help=f"address of the KFP API, such as http://localhost:8888; default: {ENDPOINT}")
    verb.add_argument("--namespace", help="profile, where KFP serves several users")
    verb.add_argument("--experiment", help="default: quillflow")
    verb.add_argument("--timeout", type=float, default=30.0, metavar="S", help="for an answer (%(default)s)")


def site_of(args: argparse.Namespace) -> Site:
    """Return the site that the options name, what they say of it put in, and whose process this is.

    Raises:
        TenantError: the file is that of another tenant.
    """
    named = args.site or (Path(os.environ["QUILLFLOW_SITE"]) if os.environ.get("QUILLFLOW_SITE") else None)
    site = read_site(named)
    said = {name: getattr(args, name, None) for name in ("host", "namespace", "experiment")}
    site = replace(site, **{name: value for name, value in said.items() if value})
    tenant = Tenant.of(os.environ)
    if not tenant.is_default and site.tenant not in {"", tenant.name}:
        raise TenantError(f"{named}: is another tenant's; give this process's own with --site")
    tenant = Tenant(site.tenant) if site.tenant else tenant
    if not tenant.is_default:
        site = replace(site, tenant=tenant.name, experiment=tenant.registered(site.experiment))
    return site if site.host else replace(site, host=os.environ.get(ENDPOINT, ""))


def _compile(args: argparse.Namespace, show: Show) -> int:
    from pipelines.compiling import compiled, compiled_manifests

    site = site_of(args)
    out = args.out or Path("build") / ("pipeline.yaml" if args.pipeline == "training" else f"{args.pipeline}.yaml")
    out.parent.mkdir(parents=True, exist_ok=True)
    if args.kubernetes_manifest_format:
        text = compiled_manifests(args.pipeline, site, commit=git_commit())
    else:
        text = compiled(args.pipeline, site).text
    out.write_text(text, encoding="utf-8")
    show(f"wrote {out}")
    return 0


def _server(args: argparse.Namespace, site: Site):  # type: ignore[no-untyped-def]
    from monitoring.kubeflow import KfpServer
    from monitoring.kubeflow_access import Access

    if not site.host:
        raise SettingsError(
            f"give the address of the KFP API: --host http://localhost:8888, {ENDPOINT}, or the site's file"
        )
    return KfpServer(Access.of(site.host, namespace=site.namespace, timeout_s=args.timeout))


def _look_for_room(args: argparse.Namespace, site: Site) -> None:
    from pipelines.doctor.room import warnings_of_room

    for warning in [] if args.unchecked else warnings_of_room(site):
        logger.warning(warning)


def _submit(args: argparse.Namespace, show: Show) -> int:
    from pipelines.submitting import submit

    site = site_of(args)
    server = _server(args, site)
    arguments = parameters(args.parameter, args.pipeline)
    _look_for_room(args, site)
    run = submit(server, site, pipeline=args.pipeline, arguments=arguments, commit=git_commit(), again=args.again)
    was_there = ", which was there already (--again starts another)" if run.found else ""
    show(f"run {run.run_id}{was_there}\n  name  {run.name}\n  link  {run.link}")
    if not args.wait:
        return 0
    from pipelines.watching import Watch

    try:
        went_well = Watch(server=server, show=show, every_s=args.every).to_the_end(run.run_id)
    except KeyboardInterrupt:
        show(f"no longer watched; the run goes on: {run.link}")
        raise
    return 0 if went_well else 1


def _schedule(args: argparse.Namespace, show: Show) -> int:
    from pipelines.scheduling import schedule, unschedule

    site = site_of(args)
    server = _server(args, site)
    if args.remove:
        count = unschedule(server, args.name)
        show(f"removed {count} schedule(s) {args.name!r}" if count else f"there is no schedule {args.name!r}")
        return 0
    if not args.cron:
        raise SettingsError('say when: --cron "30 3 * * 1" is Mondays at 3:30 UTC; or --remove')
    arguments = parameters(args.parameter, args.pipeline)
    _look_for_room(args, site)
    made = schedule(
        server,
        site,
        pipeline=args.pipeline,
        arguments=arguments,
        commit=git_commit(),
        cron=args.cron,
        name=args.name,
    )
    how = {
        "made": "made",
        "replaced": "replaced: its settings had changed",
        "unchanged": "there already, unchanged",
        "paused": "there already, unchanged, and switched off by somebody; switch it on in KFP's pages",
    }
    show(f"schedule {made.name} ({made.schedule_id}): {how[made.done]}")
    return 0


def _doctor(args: argparse.Namespace, show: Show) -> int:
    from pipelines.doctor import examine, report_text

    site, root = site_of(args), os.environ.get("QUILLFLOW_STORE", "")
    found = examine(
        site,
        tracking_uri=args.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", ""),
        store=Tenant.of(os.environ).store(root, args.store) if root or args.store else "",
        root=args.root,
        timeout_s=args.timeout,
    )
    show(json.dumps(found.to_dict(), indent=2) if args.json else report_text(found))
    return found.status
