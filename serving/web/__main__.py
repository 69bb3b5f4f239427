"""python -m serving.web: the address of a model server in, a page for a browser out, until Ctrl-C or SIGTERM."""

import argparse
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from htr.errors import QuillflowError, SettingsError
from htr.tenants import Tenant
from serving.access import TOKEN_VARIABLE, check_exposure, find_token
from serving.addresses import check_port
from serving.client import Client

if TYPE_CHECKING:
    from serving.web.sources import Source

QUIET = {
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Set before Gradio is imported: nothing phones home."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page; return the exit code: 0 after an orderly stop, 2 where a setting is at fault."""
    options = _parser().parse_args(argv)
    os.environ.update(QUIET)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)  # uvicorn ends well at it and then lets it have its way
    try:
        Tenant.of(os.environ).check_options(vars(options).values())
        with ExitStack() as closing:
            _serve(options, closing)
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _serve(options: argparse.Namespace, closing: ExitStack) -> None:
    check_port(options.host, options.port, "--port")
    token = find_token(options.token_file)
    check_exposure(options.host, token, no_token=options.no_token)
    for_server = find_token(options.server_token_file) if options.server_token_file else token
    client = Client(
        options.server,
        model=options.model_name,
        pages_model=options.pages_name,
        timeout_s=options.timeout_s,
        token=for_server.authorization.partition(" ")[2] if for_server else "",
    )
    kept = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="quillflow-web-")))
    os.environ["GRADIO_TEMP_DIR"] = str(kept / "files")  # read when Gradio is imported
    stopping = threading.Event()
    closing.callback(stopping.set)

    from serving.web.desk import Desk
    from serving.web.kept import keep_swept
    from serving.web.serve import run

    sweeping = threading.Thread(target=keep_swept, args=(kept, time.time, stopping.wait), name="kept", daemon=True)
    sweeping.start()
    source = _source(options, client, stopping)
    desk = Desk(client=client, clock=time.monotonic, source=source, seed=options.seed)
    run(
        desk,
        kept=kept,
        host=options.host,
        port=options.port,
        token=token,
        announce=lambda url: print(f"page at {url}, reading by {options.server}", flush=True),
    )


def _source(options: argparse.Namespace, client: Client, stopping: threading.Event) -> "Source | None":
    """Return what fills the queue, begun; None where nothing does."""
    from serving.web.folder import Folder
    from serving.web.queue import Queue
    from serving.web.reader import Reader
    from serving.web.requested import Requested
    from serving.web.sources import Sources

    if (options.requests is None) != (options.log is None):
        raise SettingsError(
            "--requests and --log go together: one says which lines, the other holds their pictures"
        )
    queue = Queue(control_share=options.control_share, seed=options.seed, clock=time.monotonic)
    parts: list[Folder | Requested] = []
    if options.requests is not None:
        requested = Requested(options.requests, options.log, client, queue, stopping.wait)
        requested.check()
        parts.append(requested)
    if options.queue is not None:
        folder = Folder(options.queue, Reader(client), queue, options.seed, stopping.wait, options.queue_of)
        folder.files()  # refused now where there is no such folder
        parts.append(folder)
    for part in parts:
        part.start()
    return Sources(queue, parts) if parts else None


def _stop(*_: object) -> None:
    """Leave in order, so that what was uploaded is removed."""
    raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving.web", description=__doc__)
    parser.add_argument(
        "--server",
        default="http://127.0.0.1:8080",
        metavar="URL",
        help="the model server; corrections go there too, if it takes them (default: %(default)s)",
    )
    parser.add_argument("--model_name", default="htr", help="its model of lines (default: %(default)s)")
    parser.add_argument("--pages", dest="pages_name", default="pages", help="its model of pages (default: pages)")
    parser.add_argument("--timeout-s", type=_seconds, default=60.0, help="longest wait for it (default: 60)")
    parser.add_argument(
        "--queue", type=Path, metavar="DIR", help="a folder of pages or lines to be looked at (default: none)"
    )
    parser.add_argument(
        "--queue-of",
        choices=["automatic", "page", "line"],
        default="automatic",
        help="what its pictures are (default: each by its shape)",
    )
    parser.add_argument(
        "--requests",
        type=Path,
        metavar="STATE",
        help="the governor's state folder: lines of its newest labelling request are shown first (default: none)",
    )
    parser.add_argument(
        "--log", type=Path, metavar="DIR", help="the server's --log-dir, whose image log holds their pictures"
    )
    parser.add_argument(
        "--control-share",
        type=_share,
        default=0.1,
        help="share of the queue's lines shown whatever was read on them (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="draws those lines (default: %(default)s)")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"who opens the page must give the token in it (default: what {TOKEN_VARIABLE} holds, or none); "
        "it goes on to the server, too",
    )
    parser.add_argument(
        "--server-token-file", type=Path, metavar="FILE", help="the server's token where it is another one"
    )
    parser.add_argument(
        "--no-token", action="store_true", help="serve a network without one: something else guards the page"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to bind, 0.0.0.0 for every network (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=7860, help="0: any free one (default: %(default)s)")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share within 0..1, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
