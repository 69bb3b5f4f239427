"""Which lines the server has corrections of: its list in, digests of their images out."""

from collections.abc import Callable

from serving.client import Client, RefusedError

_AT_ONCE = 1000
"""Corrections that are asked for in one request."""


def corrected_lines(client: Client, is_control: Callable[[str], bool]) -> set[str]:
    """Return the digests of images with a correction; controls only with one that was sent as a sample.

    Args:
        client: of the server.
        is_control: whether the line of an image is to be judged by, so that only a sample says enough about it.

    Raises:
        UnreachableError: it does not answer now.
    """
    digests: set[str] = set()
    start, count = 0, 1
    while start < count:
        try:
            records, count = client.corrections(start=start, limit=_AT_ONCE)
        except RefusedError:  # it takes no corrections, and says so where one is sent
            return digests
        digests |= {
            str(one["image_digest"])
            for one in records
            if not one.get("withdrawn")
            and (one.get("chosen_by") == "sample" or not is_control(str(one["image_digest"])))
        }
        start += _AT_ONCE
    return digests
