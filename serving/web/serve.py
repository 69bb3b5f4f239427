"""Runs the page: one process, one uvicorn server, until SIGINT or SIGTERM."""

import logging
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from htr.errors import QuillflowError
from serving.access import Token, is_loopback
from serving.addresses import netloc
from serving.client import RefusedError
from serving.web.app import build, mount
from serving.web.desk import Desk
from serving.web.guard import Guard
from serving.web.kept import Kept
from serving.web.offered import came_in
from serving.web.plain_words import plain

logger = logging.getLogger(__name__)

MIB = 1024 * 1024
MAX_FILE_BYTES = 40 * MIB
"""Of one uploaded file: as base64 it is a third more, and the server takes 64 MiB."""
GRACE_S = 10
"""Seconds that requests in flight get at the end."""


def run(
    desk: Desk, *, kept: Path, host: str, port: int, token: Token | None, announce: Callable[[str], None]
) -> None:
    """Serve the page until it is told to stop.

    Args:
        desk: does what buttons say.
        kept: a folder of this process alone; uploads and files to take away go there.
        host: address to bind.
        port: 0 is any free one.
        token: what people must give to come in, or None.
        announce: told the page's address once it can be opened.
    """
    if token is None and not is_loopback(host):
        logger.warning("%s: everybody who reaches it may use the page (--no-token)", host)
    app = application(desk, kept=kept, host=host, token=token)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_S
    )
    _Announced(config, announce).run()


def application(desk: Desk, *, kept: Path, host: str, token: Token | None) -> FastAPI:
    """Return the page as it is served, behind its guard; arguments of `run`."""
    made = kept / "made"
    made.mkdir(parents=True)
    page = build(desk, kept=Kept(made), notice=lambda: amiss(desk))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app = mount(app, page, max_bytes=MAX_FILE_BYTES, admit=_admission(token))
    app.add_middleware(
        Guard,
        max_bytes=MAX_FILE_BYTES + MIB,
        loopback_only=token is None and is_loopback(host),
        is_in=came_in(app),
    )
    return app


def amiss(desk: Desk) -> str:
    """Return what is wrong with the server, in plain words; "" where nothing is."""
    try:
        desk.client.corrections(limit=1)
    except RefusedError as error:
        if error.status == 404:
            return "This server takes no corrections (it was started without --corrections). You can read only."
        return plain(error)
    except QuillflowError as error:
        return plain(error)
    return ""


def _admission(token: Token | None) -> Callable[[str, str], bool] | None:
    if token is None:
        return None
    return lambda name, given: bool(name.strip()) and token.admits(f"Bearer {given}")


class _Announced(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._announce(f"http://{netloc(host, port)}")
