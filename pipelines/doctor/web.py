"""One HTTP request of the doctor: status, time, clock; never an exception for an answer that was one."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    text: str
    ahead_s: float | None
    """How far its clock is ahead of ours, to half a second; None where it does not tell."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        """Take a redirect for an answer: a login page is not what was asked for."""
        return


def ask(
    url: str,
    *,
    timeout_s: float,
    headers: dict[str, str] | None = None,
    wall: Callable[[], float] = time.time,
) -> Answer:
    """Send a GET.

    Raises:
        OSError: nobody answers.
        ValueError: it is no address.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url}: expected http://... or https://...")
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - the scheme is checked above
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout_s) as answer:
            status, told, text = answer.status, answer.headers, answer.read(65_536)
    except urllib.error.HTTPError as error:
        status, told, text = error.code, error.headers, error.read(65_536)
    return Answer(status=status, text=text.decode("utf-8", "replace"), ahead_s=_ahead(told.get("Date"), wall()))


def _ahead(date: str | None, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5 - now if date else None
    except (TypeError, ValueError):
        return None
