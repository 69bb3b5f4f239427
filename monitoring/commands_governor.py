"""The command ``python -m monitoring serve-governor``."""

import argparse
import ipaddress
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from htr.access_log import FILE as ACCESS_LOG
from htr.access_log import AccessLog
from htr.corrected_lines import CorrectedLines
from htr.errors import SettingsError
from htr.rates import Rates
from htr.tenants import Tenant
from htr.tokens import Token, read_token
from htr.versions import open_store
from htr.versions.addresses import STORE_VARIABLE
from k8s.cluster.api import find_api
from k8s.cluster.release import NAMESPACE
from k8s.cluster.release import Servers as InferenceServices
from monitoring.governor.audit import Audit
from monitoring.governor.choosing import LogChooser
from monitoring.governor.clock import GovernedClock
from monitoring.governor.governor import Governor
from monitoring.governor.journal import Journal
from monitoring.governor.kfp_runs import KfpRuns
from monitoring.governor.labelling import LabellingRequests
from monitoring.governor.labels import DatasetLabels, LabelSource, PublishedLabels, StoreLabels
from monitoring.governor.local_runs import LocalRuns
from monitoring.governor.measures import PrometheusMeasures
from monitoring.governor.metrics import GovernorMetrics
from monitoring.governor.parts import Parts
from monitoring.governor.policy import read_policy
from monitoring.governor.receiver import make_server
from monitoring.governor.registry import MlflowRegistry
from monitoring.governor.runs import Runs
from monitoring.governor.serve import Turns, serve
from monitoring.governor.servers import ClusterServers
from monitoring.governor.service import WRITES_A_MINUTE, Service
from monitoring.governor.tls import Tls
from monitoring.rollout.metrics import RolloutMetrics

TOKEN_VARIABLE = "QUILLFLOW_GOVERNOR_TOKEN"  # noqa: S105 - the variable's name


def serve_governor(args: argparse.Namespace) -> int:
    """Take alerts and wishes, decide and carry out, until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries; what comes of them we say ourselves
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    policy, token, tls = read_policy(args.policy), _token(args), _tls(args)
    _check_exposure(args.host, token, tls, no_token=args.no_token)
    Tenant.of(os.environ).claim(args.state)
    corrected = CorrectedLines(args.corrections_store) if args.corrections_store is not None else None
    parts = _parts(args, corrected)
    journal = Journal(args.state)
    with journal.alone():
        journal.open()
        clock = GovernedClock(journal.state.at, journal.state.time)
        governor = Governor(journal, policy, clock, parts)
        failures: list[BaseException] = []

        def failed(error: BaseException) -> None:
            failures.append(error)
            server.shutdown()

        turns = Turns(governor, args.every_s, failed)
        audit = Audit(lines=corrected) if corrected is not None else None
        service = Service(
            governor=governor,
            metrics=GovernorMetrics(
                governor=governor,
                verdict=args.verdict,
                audit=audit,
                others={} if args.rollout is None else {"rollout": RolloutMetrics(args.rollout)},
            ).text,
            token=token,
            wake=turns.wake,
            rates=Rates(args.write_rate),
            log=AccessLog(args.state / ACCESS_LOG, service="governor", clock=lambda: datetime.now(UTC)),
        )
        server = make_server(service, args.host, args.port, tls)
        scheme = "https" if tls is not None else "http"
        print(f"governor at {scheme}://{args.host}:{server.server_port}", flush=True)  # noqa: T201 - a command
        serve(governor, server, turns)
    return 1 if failures else 0


def _parts(args: argparse.Namespace, corrected: CorrectedLines | None) -> Parts:
    runs: Runs
    if args.local_root is not None:
        runs = LocalRuns(state=args.state.absolute(), root=args.local_root.absolute())
    else:
        if args.package is None or args.tracking_uri is None:
            raise SettingsError(
                "--kfp-host needs --package, the YAML that `python -m pipelines compile` wrote, and "
                "--tracking-uri: whether a run brought a champion is asked of the registry"
            )
        runs = KfpRuns(
            host=args.kfp_host,
            package=args.package,
            namespace=args.kfp_namespace,
            service_account=args.kfp_service_account,
        )
        runs.check(
            {"asked_by": "", **dict(args.parameters)}
        )  # before a decision is written that cannot be carried out
    labels: LabelSource | None = None
    if corrected is not None:
        labels = StoreLabels(lines=corrected, out=args.corrections_out or args.state / "corrections")
    elif args.corrections is not None:
        labels = DatasetLabels(folder=args.corrections)
    if labels is not None and args.kfp_host is not None and os.environ.get(STORE_VARIABLE):
        labels = PublishedLabels(lines=labels, store=open_store())  # steps do not see this disk
    registry = (
        MlflowRegistry(tracking_uri=args.tracking_uri, name=Tenant.of(os.environ).registered(args.model_name))
        if args.tracking_uri
        else None
    )
    chooser = (
        LogChooser(log=args.log, verdict=args.verdict, corrections=corrected, state=args.state)
        if args.log is not None
        else None
    )
    return Parts(
        runs=runs,
        labels=labels,
        registry=registry,
        servers=_servers(args),
        measures=PrometheusMeasures(args.prometheus) if args.prometheus else None,
        asker=LabellingRequests(state=args.state, choose=chooser or (lambda champion, wanted: [])),
        arguments=dict(args.parameters),
        registry_every_s=args.registry_every_s,
        measure_every_s=args.measure_every_s,
    )


def _servers(args: argparse.Namespace) -> ClusterServers | None:
    if not args.inference_service:
        return None
    if args.tracking_uri is None:
        raise SettingsError("--inference-service needs --tracking-uri: the registry says who was champion before")
    services = InferenceServices(api=find_api(args.kubernetes), namespace=args.namespace)
    return ClusterServers(servers=services, names=tuple(args.inference_service))


def _token(args: argparse.Namespace) -> Token | None:
    return read_token(args.token_file, os.environ, flag="--token-file", variable=TOKEN_VARIABLE)


def _tls(args: argparse.Namespace) -> Tls | None:
    if args.tls_cert is None and args.tls_key is None and args.tls_clients is None:
        return None
    if args.tls_cert is None or args.tls_key is None:
        raise SettingsError("--tls-cert and --tls-key go together, and --tls-clients goes with both")
    return Tls(certificate=args.tls_cert, key=args.tls_key, clients=args.tls_clients)


def _check_exposure(host: str, token: Token | None, tls: Tls | None, *, no_token: bool) -> None:
    try:
        inner = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inner = host == "localhost"
    proven = tls is not None and tls.clients is not None
    if token is None and not proven and not no_token and not inner:
        raise SettingsError(
            f"--host {host}: everybody who reaches this address could ask for trainings; give --token-file FILE, "
            f"{TOKEN_VARIABLE} or --tls-clients, or say --no-token where a proxy or mesh asks for one"
        )


def add_command(commands: Any) -> None:
    """Add the command to a parser's."""
    s = commands.add_parser("serve-governor", help="take alerts, ask for labels, retrain, roll back")
    s.set_defaults(run=serve_governor)
    s.add_argument("--state", type=Path, required=True, metavar="DIR", help="where everything decided is kept")
    s.add_argument("--policy", type=Path, metavar="FILE", help="TOML; see docs/retraining.md")
    where = s.add_mutually_exclusive_group(required=True)
    where.add_argument("--local-root", type=Path, metavar="DIR", help="run the pipeline here, under this folder")
    where.add_argument("--kfp-host", metavar="URL", help="hand the pipeline to Kubeflow Pipelines")
    s.add_argument("--kfp-namespace", default="", metavar="NAME", help="profile, where it serves several users")
    s.add_argument("--kfp-service-account", default="", metavar="NAME", help="that the pipeline's steps run as")
    s.add_argument("--package", type=Path, metavar="YAML", help="the compiled pipeline, for --kfp-host")
    s.add_argument(
        "-p",
        dest="parameters",
        type=_parameter,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of every pipeline run; corrections is set unless given here",
    )
    lines = s.add_mutually_exclusive_group()
    lines.add_argument("--corrections-store", type=Path, metavar="DIR", help="where the server keeps corrections")
    lines.add_argument("--corrections", type=Path, metavar="DIR", help="a lines dataset of corrections instead")
    s.add_argument(
        "--corrections-out", type=Path, metavar="DIR", help="where lines datasets are made of the store"
    )
    s.add_argument("--tracking-uri", metavar="URI", help="MLflow, whose registry says which model is champion")
    s.add_argument("--model-name", default="quillflow", help="the registered model (default %(default)s)")
    s.add_argument(
        "--inference-service",
        action="append",
        default=[],
        metavar="NAME",
        help="that is told a model by digest: a rollback tells it the one before; repeatable",
    )
    s.add_argument("--namespace", default=NAMESPACE, help="of those (default %(default)s)")
    s.add_argument("--kubernetes", default="", metavar="URL", help="its API; in a pod it is found by itself")
    s.add_argument("--prometheus", metavar="URL", help="asked how a new champion does; without it none is watched")
    s.add_argument(
        "--log", type=Path, metavar="DIR", help="the prediction log: lines to correct are chosen from it"
    )
    s.add_argument("--verdict", type=Path, metavar="FILE", help="the newest drift.json: window and metrics")
    s.add_argument(
        "--rollout", type=Path, metavar="DIR", help="a rollout's state folder, to tell Prometheus how far it is"
    )
    s.add_argument("--host", default="127.0.0.1", help="address to bind (default %(default)s)")
    s.add_argument("--port", type=int, default=8090, help="0: any free one (default %(default)s)")
    s.add_argument("--token-file", type=Path, metavar="FILE", help=f"clients must send it (or {TOKEN_VARIABLE})")
    s.add_argument("--no-token", action="store_true", help="serve a network without one: something else guards it")
    s.add_argument(
        "--write-rate",
        type=int,
        default=WRITES_A_MINUTE,
        choices=range(100_000),
        metavar="N",
        help="requests that one client may post a minute, 0: as many as it likes (default %(default)s)",
    )
    s.add_argument("--tls-cert", type=Path, metavar="PEM")
    s.add_argument("--tls-key", type=Path, metavar="PEM")
    s.add_argument(
        "--tls-clients", type=Path, metavar="PEM", help="clients must have a certificate signed by these"
    )
    for name, default, told in (
        ("--every-s", 15.0, "from turn to turn"),
        ("--registry-every-s", 60.0, "from look to look at the registry"),
        ("--measure-every-s", 300.0, "from look to look at a new champion's figures"),
    ):
        s.add_argument(
            name, type=_seconds, default=default, metavar="S", help=f"seconds {told} (default %(default)s)"
        )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text}")
    return value


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    return name, value
