"""python -m serving: a model in, a KServe server out, until Ctrl-C or SIGTERM."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from htr.correction_store import CorrectionStore
from htr.errors import QuillflowError, SettingsError
from serving.access import TOKEN_VARIABLE, check_exposure, find_token, is_loopback
from serving.addresses import Addresses, check_port
from serving.champion import ModelUri, Registry
from serving.follow import Champion
from serving.limits import Limits
from serving.prediction_log import PredictionLog
from serving.served import Served, serve_bundle

logger = logging.getLogger("serving")
EPILOG = """Every other flag of KServe's model server works too, --enable_grpc, --max_threads,
--grpc_max_receive_message_length, --ssl_certfile, --log_config_file and so on; only --workers must stay 1."""
QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",  # models are never unpickled
}
"""Set where the environment does not say otherwise: nothing phones home."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; return the exit code: 0 after an orderly stop, 2 where a setting or a service is at fault."""
    for name, value in QUIET.items():  # before MLflow is imported, which reads them
        os.environ.setdefault(name, value)
    options, kserve_flags = _parser().parse_known_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("kserve", "uvicorn", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries; what comes of them we say ourselves
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")  # KServe's affair, once a route
    try:
        with ExitStack() as closing:
            _serve(options, kserve_flags, closing)
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while still loading; later the server takes it
        return 130
    return 0


def _serve(options: argparse.Namespace, kserve_flags: list[str], closing: ExitStack) -> None:
    # What can be wrong is found out before KServe is imported, which takes seconds.
    check_port(options.host, options.http_port, "--http_port")
    check_port(options.host, options.grpc_port, "--grpc_port")
    token = find_token(options.token_file)
    check_exposure(options.host, token, no_token=options.no_token)
    log = None
    if options.log_dir is not None:
        log = PredictionLog(options.log_dir)
        closing.callback(log.close)
    corrections = None
    if options.corrections is not None:
        corrections = CorrectionStore(options.corrections)
        corrections.prepare()
    serve = _model(options, closing)

    from kserve.model_server import app
    from kserve.model_server import parser as kserve_parser
    from prometheus_client import REGISTRY

    from serving.admission import Admission
    from serving.corrections import mount
    from serving.error_answers import ClientFaults
    from serving.guard import install
    from serving.metrics import Metrics, ServerState
    from serving.openapi import describe
    from serving.predictor import LineReader
    from serving.server import LineServer

    kserve_parser.set_defaults(enable_latency_logging=False)
    flags, unknown = kserve_parser.parse_known_args(kserve_flags)
    if unknown:
        raise SettingsError(f"unknown option {unknown[0]}; python -m serving --help lists them")
    if flags.workers != 1:
        raise SettingsError(f"--workers {flags.workers}: one process a server; run several servers instead")
    flags.http_port, flags.grpc_port = options.http_port, options.grpc_port

    limits = Limits(max_waiting=options.queue or 2 * options.threads, max_seconds=options.timeout_s)
    pool = ThreadPoolExecutor(options.threads, thread_name_prefix="reader")
    closing.callback(pool.shutdown)
    admission = Admission(pool, num_threads=options.threads, limits=limits)
    metrics = Metrics()
    REGISTRY.register(ServerState(serve, admission, log))
    install(
        app,
        limits,
        stamp=lambda request_id: serve().stamp(request_id),
        admission=admission,
        token=token,
        metrics=metrics,
    )
    if corrections is not None:
        mount(app, corrections, limits=limits, clock=lambda: datetime.now(UTC))
    app.openapi = cache(
        lambda: describe(app, model_name=options.model_name, limits=limits, with_token=token is not None)
    )
    logging.getLogger("kserve").addFilter(ClientFaults())
    reader = LineReader(
        options.model_name,
        serve=serve,
        admission=admission,
        clock=lambda: datetime.now(UTC),
        log=log,
        limits=limits,
        metrics=metrics,
    )

    def announce(at: Addresses) -> None:
        if token is None and not is_loopback(options.host):
            logger.warning("%s: everybody who reaches it may use it (--no-token)", options.host)
        _say(f"serving {reader.name} version {serve().version} at {at.url} (gRPC {at.grpc or 'off'})")

    LineServer(host=options.host, flags=flags, announce=announce, token=token).start([reader])


def _model(options: argparse.Namespace, closing: ExitStack) -> Callable[[], Served]:
    if options.bundle is not None:
        served = serve_bundle(options.bundle)
        return lambda: served
    uri = ModelUri.parse(options.model)
    if not options.tracking_uri:
        raise SettingsError(f"--model {uri}: where is MLflow? Give --tracking-uri or set MLFLOW_TRACKING_URI")
    champion = Champion(Registry(options.tracking_uri, options.cache_dir), uri, poll_s=options.poll_s)
    champion.start()
    closing.callback(champion.stop)
    return lambda: champion.served


def _parser() -> argparse.ArgumentParser:
    # No abbreviations: what is not ours goes on to KServe's parser as it is.
    parser = argparse.ArgumentParser(
        prog="python -m serving", description=__doc__, epilog=EPILOG, allow_abbrev=False
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--bundle", type=Path, metavar="DIR", help="serve this model bundle")
    model.add_argument("--model", metavar="URI", help="models:/NAME@ALIAS, followed, or models:/NAME/VERSION")
    parser.add_argument(
        "--tracking-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI"),
        metavar="URI",
        help="where MLflow is, http://... or sqlite:///... (default: MLFLOW_TRACKING_URI)",
    )
    parser.add_argument(
        "--cache-dir",
        type=Path,
        default=Path("~/.cache/quillflow/bundles").expanduser(),
        metavar="DIR",
        help="where fetched versions are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--poll-s", type=_seconds, default=5.0, help="look for a new champion this often (default: 5)"
    )
    parser.add_argument(
        "--log-dir", type=Path, metavar="DIR", help="where the prediction log goes (default: none)"
    )
    parser.add_argument(
        "--corrections", type=Path, metavar="DIR", help="take corrections, and keep them there (default: refused)"
    )
    parser.add_argument(
        "--threads",
        type=_count,
        default=min(4, _num_cores()),
        help="requests read at the same time (default: %(default)s)",
    )
    parser.add_argument(
        "--queue",
        type=_count,
        metavar="N",
        help="requests that may wait for a thread; more are refused with 429 (default: two a thread)",
    )
    parser.add_argument(
        "--timeout-s",
        type=_seconds,
        default=Limits().max_seconds,
        help="a request not answered by then is refused with 503 (default: %(default)s)",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"clients must send the token in it (default: what {TOKEN_VARIABLE} holds, or none)",
    )
    parser.add_argument(
        "--no-token",
        action="store_true",
        help="serve a network without one: something else guards it",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to bind, 0.0.0.0 for every network (default: %(default)s)",
    )
    parser.add_argument("--http_port", type=int, default=8080, help="0: any free one (default: %(default)s)")
    parser.add_argument("--grpc_port", type=int, default=8081, help="0: any free one (default: %(default)s)")
    parser.add_argument("--model_name", default="htr", help="its name in the endpoints (default: %(default)s)")
    return parser


def _say(text: str) -> None:
    """Print a line at once; where nobody reads it, go on serving."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # what is left of it, and all that comes, is written nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _num_cores() -> int:
    """Return the cores that this process may use, which in a container or under taskset are not the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
