"""python -m serving.pages: a KServe transformer that finds the lines of pages and has another server read them."""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from htr.errors import SettingsError
from serving.access import find_token
from serving.options import EPILOG, add_server_options, count
from serving.page_model import DEFAULT_NAME, HOW, can_read_pages, make_pages
from serving.start import check_options, limits_of, run_command, serve_models

if TYPE_CHECKING:
    from serving.remote_lines import RemoteSource

logger = logging.getLogger("serving")

TOKEN_VARIABLE = "QUILLFLOW_PREDICTOR_TOKEN"  # noqa: S105 - the variable's name
TRY_AGAIN_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; return the exit code: 0 after an orderly stop, 2 where a setting or a service is at fault."""
    return run_command(_serve, _parser(), argv)


def _serve(options: argparse.Namespace, kserve_flags: list[str], closing: ExitStack) -> None:
    if not can_read_pages():
        raise SettingsError(f"reading pages needs the extra: {HOW}")
    url = predictor_url(options.predictor_host)
    token = check_options(options)
    flag = "--predictor-token-file"
    predictor_token = find_token(options.predictor_token_file, flag=flag, variable=TOKEN_VARIABLE)

    from serving.openapi import describe
    from serving.remote_lines import RemoteSource

    limits = limits_of(options)
    source = RemoteSource(
        url,
        model=options.predictor_model,
        token=predictor_token,
        at_once=options.at_once,
        timeout_s=limits.max_seconds,
    )
    closing.callback(source.close)
    _meet(source)
    name = options.model_name
    serve_models(
        make_pages(name, source=source, num_threads=options.threads, limits=limits, closing=closing),
        options=options,
        kserve_flags=kserve_flags,
        limits=limits,
        stamp=source.stamp,
        token=token,
        describe=lambda app: describe(app, pages=name, limits=limits, with_token=token is not None),
    )


def predictor_url(text: str) -> str:
    """Return the URL of a predictor; KServe names a host alone.

    Raises:
        SettingsError: it is no URL.
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"--predictor_host {text}: expected http://host:port, https://host:port or host:port")
    return url


def _meet(source: "RemoteSource") -> None:
    """Wait until the predictor answers: in a cluster both start at the same time, and no port says so before."""
    from serving.refusals import PredictorAwayError

    while True:
        try:
            source.meet()
        except PredictorAwayError:
            logger.warning("waiting for the predictor at %s", source.url)
            time.sleep(TRY_AGAIN_S)
        else:
            return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.pages", description=__doc__, epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument(
        "--predictor_host",  # as KServe's controller calls it
        required=True,
        metavar="URL",
        help="server that reads the lines: http://host:port, https://host:port, or host:port",
    )
    parser.add_argument("--predictor_protocol", choices=["v1"], default="v1", help="V1 alone (default: v1)")
    parser.add_argument(
        "--predictor-model", default="htr", metavar="NAME", help="its model (default: %(default)s)"
    )
    parser.add_argument(
        "--predictor-token-file",
        type=Path,
        metavar="FILE",
        help=f"what it wants to be sent (default: what {TOKEN_VARIABLE} holds, or none)",
    )
    parser.add_argument(
        "--at-once", type=count, default=2, metavar="N", help="requests to it at a time (default: %(default)s)"
    )
    add_server_options(parser)
    parser.add_argument("--model_name", default=DEFAULT_NAME, help="our name (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
