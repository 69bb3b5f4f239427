"""What every server of ours does to start: flags checked, guards up, models served until SIGTERM."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

from htr.errors import QuillflowError, SettingsError
from htr.rates import Rates
from htr.tenants import Tenant
from serving.access import Token, check_exposure, find_token, is_loopback
from serving.addresses import Addresses, check_port
from serving.limits import Limits
from serving.stamp import Stamp

if TYPE_CHECKING:
    from fastapi import FastAPI
    from kserve import Model

    from htr.access_log import AccessLog
    from serving.admission import Admission
    from serving.metrics import Metrics

logger = logging.getLogger("serving")
QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",  # models are never unpickled
}
"""Set where the environment does not say otherwise: nothing phones home."""


def run_command(
    serve: Callable[[argparse.Namespace, list[str], ExitStack], None],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
) -> int:
    """Run a server's command; return the exit code: 0 after an orderly stop, 2 where something is at fault.

    Args:
        serve: gets our options, KServe's flags, and what is closed at the end.
        parser: of our options.
        argv: arguments, or None for the process's.
    """
    for name, value in QUIET.items():  # before MLflow is imported, which reads them
        os.environ.setdefault(name, value)
    options, kserve_flags = parser.parse_known_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("kserve", "uvicorn", "mlflow", "alembic", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries; what comes of them we say ourselves
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")  # KServe's affair, once a route
    try:
        Tenant.of(os.environ).check_options(vars(options).values())
        with ExitStack() as closing:
            serve(options, kserve_flags, closing)
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return 2
    except KeyboardInterrupt:  # while still loading; later the server takes it
        return 130
    return 0


def check_options(options: argparse.Namespace) -> Token | None:
    """Find out what can be wrong before KServe is imported, which takes seconds; return the token.

    Raises:
        ServiceError: a port cannot be bound.
        SettingsError: the token cannot be used, or everybody on the network could use the server.
    """
    check_port(options.host, options.http_port, "--http_port")
    check_port(options.host, options.grpc_port, "--grpc_port")
    token = find_token(options.token_file)
    check_exposure(options.host, token, no_token=options.no_token)
    return token


def limits_of(options: argparse.Namespace) -> Limits:
    """Return the limits that the flags ask for."""
    return Limits(max_waiting=options.queue or 2 * options.threads, max_seconds=options.timeout_s)


def serve_models(
    models: "Mapping[Model, Admission]",
    *,
    options: argparse.Namespace,
    kserve_flags: list[str],
    limits: Limits,
    stamp: Callable[[str], Stamp],
    token: Token | None,
    describe: "Callable[[FastAPI], dict[str, Any]]",
    prepare: "Callable[[FastAPI], None]" = lambda _: None,
    metrics: "Metrics | None" = None,
    access_log: "AccessLog | None" = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        models: what is served, the first one by whose name we say that we are ready; each with its admission.
        options: ours.
        kserve_flags: the rest of the command line.
        limits: what is refused.
        stamp: says for a request's id where an answer comes from.
        token: what clients must send, or None.
        describe: makes the application's OpenAPI document.
        prepare: adds routes to it.
        metrics: where refused readings are counted, or None.
        access_log: where it is noted who writes, or None.

    Raises:
        ServiceError: a port cannot be bound.
        SettingsError: there is no such flag.
    """
    from kserve.model_server import app
    from kserve.model_server import parser as kserve_parser

    from serving.error_answers import ClientFaults
    from serving.guard import install
    from serving.server import LineServer
    from serving.writes import Writes

    kserve_parser.set_defaults(enable_latency_logging=False)
    flags, unknown = kserve_parser.parse_known_args(kserve_flags)
    if unknown:
        raise SettingsError(f"unknown option {unknown[0]}; --help lists them")
    if flags.workers != 1:
        raise SettingsError(f"--workers {flags.workers}: one process a server; run several servers instead")
    flags.http_port, flags.grpc_port = options.http_port, options.grpc_port
    admission = {model.name: one for model, one in models.items()}
    install(
        app,
        limits,
        stamp=stamp,
        admission=admission,
        token=token,
        metrics=metrics,
        loopback_only=token is None and not options.no_token and is_loopback(options.host),
        writes=Writes(rates=Rates(options.write_rate), log=access_log),
    )
    prepare(app)
    app.openapi = cache(lambda: describe(app))
    logging.getLogger("kserve").addFilter(ClientFaults())
    name = next(iter(admission))

    def announce(at: Addresses) -> None:
        if token is None and not is_loopback(options.host):
            logger.warning("%s: everybody who reaches it may use it (--no-token)", options.host)
        _say(f"serving {name} version {stamp('').model_version} at {at.url} (gRPC {at.grpc or 'off'})")

    LineServer(host=options.host, flags=flags, announce=announce, token=token).start(list(models))


def _say(text: str) -> None:
    """Print a line at once; where nobody reads it, go on serving."""
    try:
        print(text, flush=True)  # noqa: T201 - who started us waits for it
    except BrokenPipeError:  # what is left of it, and all that comes, is written nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
