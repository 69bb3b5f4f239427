"""Addresses in messages: where to look may be told, who may look there must not."""

import re
from urllib.parse import unquote

_USER_INFO = re.compile(r"(?<=://)[^\s/?#]*@")


def without_user_info(text: str, *addresses: str) -> str:
    """Return a message in which no address tells a name or a password.

    Args:
        text: the message.
        addresses: those that it may be about. A client that trips over one may tell a piece of it, without the
            scheme by which user info is known.
    """
    for address in addresses:
        user_info = address.partition("://")[2].partition("/")[0].rpartition("@")[0]
        password = user_info.partition(":")[2]
        for secret in (user_info, password, unquote(password)):
            if secret:
                text = text.replace(f"{secret}@", "")
    return _USER_INFO.sub("", text)
