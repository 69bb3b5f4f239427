"""python -m serving: a model in, a KServe server out, until Ctrl-C or SIGTERM; or ``forget`` somebody's lines."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from htr.access_log import FILE as ACCESS_LOG
from htr.access_log import AccessLog
from htr.correction_store import CorrectionStore
from htr.errors import SettingsError
from htr.signing import find_verify_key
from htr.tenants import Tenant
from serving.champion import ModelUri, Registry
from serving.follow import Champion
from serving.log_options import add_log_options, open_log
from serving.options import EPILOG, add_server_options, seconds
from serving.page_model import add_options, local_source, make_pages, pages_name
from serving.readers import Readers
from serving.served import Load, Served, load_warm, serve_bundle, signed_only
from serving.start import check_options, limits_of, run_command, serve_models

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; return the exit code: 0 after an orderly stop, 2 where a setting or a service is at fault."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["forget"]:
        from serving.forget import main as forget

        return forget(arguments[1:])
    return run_command(_serve, _parser(), arguments)


def _serve(options: argparse.Namespace, kserve_flags: list[str], closing: ExitStack) -> None:
    token = check_options(options)
    log = open_log(options, closing)
    corrections, access_log = None, None
    if options.corrections is not None:
        Tenant.of(os.environ).claim(options.corrections)
        corrections = CorrectionStore(options.corrections)
        corrections.prepare()
        file = options.access_log or options.corrections / ACCESS_LOG
        access_log = AccessLog(file, service="serving", clock=lambda: datetime.now(UTC))
    pages = pages_name(options)
    load: Load = load_warm
    if options.threads > 1 and not options.one_process:
        readers = Readers(options.threads, max_seconds=options.timeout_s)
        closing.callback(readers.close)
        load = readers.load
    if (public_key := find_verify_key()) is not None:
        load = signed_only(load, public_key)
    serve = _model(options, closing, load)

    from prometheus_client import REGISTRY

    from serving.admission import Admission
    from serving.corrections import mount
    from serving.metrics import Metrics, ServerState
    from serving.openapi import describe
    from serving.predictor import LineReader

    limits = limits_of(options)
    pool = ThreadPoolExecutor(options.threads, thread_name_prefix="reader")
    closing.callback(pool.shutdown)
    admission = Admission(pool, num_threads=options.threads, limits=limits)
    metrics = Metrics()
    REGISTRY.register(ServerState(serve, admission, log))
    reader = LineReader(
        options.model_name,
        serve=serve,
        admission=admission,
        clock=lambda: datetime.now(UTC),
        log=log,
        limits=limits,
        metrics=metrics,
    )
    models = {reader: admission}
    if pages:
        source = local_source(serve, admission=admission, log=log, metrics=metrics)
        num_threads = max(1, options.threads // 2)  # they have the helpers beside them
        models |= make_pages(pages, source=source, num_threads=num_threads, limits=limits, closing=closing)

    def prepare(app: "FastAPI") -> None:
        if corrections is not None:
            mount(app, corrections, limits=limits, clock=lambda: datetime.now(UTC))

    serve_models(
        models,
        options=options,
        kserve_flags=kserve_flags,
        limits=limits,
        stamp=lambda request_id: serve().stamp(request_id),
        token=token,
        prepare=prepare,
        metrics=metrics,
        access_log=access_log,
        describe=lambda app: describe(
            app, lines=options.model_name, pages=pages, limits=limits, with_token=token is not None
        ),
    )


def _model(options: argparse.Namespace, closing: ExitStack, load: Load) -> Callable[[], Served]:
    if options.bundle is not None:
        served = serve_bundle(options.bundle, load=load)
        return lambda: served
    tenant = Tenant.of(os.environ)
    uri = ModelUri.parse(options.model)
    uri = replace(uri, name=tenant.registered(uri.name))
    if not options.tracking_uri:
        raise SettingsError(f"--model {uri}: where is MLflow? Give --tracking-uri or set MLFLOW_TRACKING_URI")
    champion = Champion(
        Registry(options.tracking_uri, tenant.cache(options.cache_dir), load=load), uri, poll_s=options.poll_s
    )
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
        "--poll-s", type=seconds, default=5.0, help="look for a new champion this often (default: 5)"
    )
    add_log_options(parser)
    parser.add_argument(
        "--corrections", type=Path, metavar="DIR", help="take corrections, and keep them there (default: refused)"
    )
    parser.add_argument(
        "--access-log",
        type=Path,
        metavar="FILE",
        help=f"who sent corrections when is noted there (default: {ACCESS_LOG} in --corrections)",
    )
    add_server_options(parser)
    parser.add_argument(
        "--one-process",
        action="store_true",
        help="read in threads of the server instead: less memory, and hardly more lines than by one thread",
    )
    parser.add_argument("--model_name", default="htr", help="its name in the endpoints (default: %(default)s)")
    add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
