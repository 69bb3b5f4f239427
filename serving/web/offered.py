"""Which requests the page answers: those that its own side in the browser sends, and no other of Gradio's routes.

Gradio brings some eighty: they fetch addresses, run functions by name, write down what a session shows, cut films.
What is not named here is as if it were not there, and so is what a later Gradio adds.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.routing import Mount

Cookies = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Offer:
    """Requests of one kind."""

    methods: str
    """Separated by spaces."""
    paths: str
    """A regular expression that the whole path matches."""
    is_open: bool = False
    """Whether it is answered to who has not come in: what a browser needs to ask for the token."""


OFFERS = (
    Offer("GET HEAD", "/", is_open=True),
    Offer("GET", "/(assets|static)/.+", is_open=True),
    Offer("GET", r"/(theme\.css|favicon\.ico|manifest\.json)", is_open=True),
    Offer("POST", "/login/?", is_open=True),
    Offer("GET", "/logout", is_open=True),
    Offer("GET", "/gradio_api/app_id", is_open=True),  # asked when the connection comes back
    Offer("GET", "/config/?"),
    Offer("GET", "/gradio_api/heartbeat/[^/]+"),
    Offer("POST", "/gradio_api/queue/join"),
    Offer("GET", "/gradio_api/queue/data"),
    Offer("POST", "/gradio_api/upload"),
    Offer("GET", "/gradio_api/upload_progress"),
    Offer("GET HEAD", "/gradio_api/file=/.+"),  # a path, and no address, which Gradio would fetch
)


def find_offer(method: str, path: str) -> Offer | None:
    """Return what a request asks for; None where the page has no such thing.

    Args:
        method: in capitals.
        path: decoded, as the server gives it.
    """
    found = (one for one in OFFERS if method in one.methods.split() and re.fullmatch(one.paths, path, re.DOTALL))
    return next(found, None)


def came_in(mounted: FastAPI) -> Callable[[Cookies], bool]:
    """Return what says of a request's cookies whether they are those of somebody who gave the token.

    Args:
        mounted: the application, with the page at ``/``; where that asks for no token everybody is in.
    """
    (page,) = (one.app for one in mounted.routes if isinstance(one, Mount))
    return lambda cookies: _is_in(page, cookies)


def _is_in(page: Any, cookies: Cookies) -> bool:
    names = (f"access-token{kind}-{page.cookie_id}" for kind in ("", "-unsecure"))
    return page.auth is None or any(cookies.get(name) in page.tokens for name in names)
