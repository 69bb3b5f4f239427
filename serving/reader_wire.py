"""What a server and its reading processes say to each other: a line of JSON, then bytes, over a socket.

    4 bytes, length of the JSON; 4 bytes, length of what follows it; JSON; bytes

JSON, since what a reading process decodes comes from strangers: the server believes none of its bytes to be more
than data. `multiprocessing` would pickle, and builds a selector for every answer that it waits for.
"""

import math
import socket
import struct
from typing import Any

import orjson

from htr.alignment import Character
from htr.profile import Profile
from htr.recogniser import Alternative, Observation, Reading
from htr.verdicts import Verdict

_LENGTHS = struct.Struct("!II")


def send(connection: socket.socket, said: dict[str, Any], data: bytes = b"") -> None:
    """Send a message; dataclasses in it become objects.

    Raises:
        OSError: the other end is gone.
    """
    head = orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY)
    connection.sendall(_LENGTHS.pack(len(head), len(data)) + head + data)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """Wait for a message.

    Raises:
        EOFError: the other end is closed.
        OSError: it is gone; TimeoutError where the socket has a time-out.
        ValueError: what came is no message.
    """
    head, data = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    said: dict[str, Any] = orjson.loads(_exactly(connection, head))
    return said, bytes(_exactly(connection, data))


def observation(found: dict[str, Any]) -> Observation:
    """Return the observation that was sent as one.

    Raises:
        KeyError, TypeError, ValueError: it was something else.
    """
    reading = found["reading"]
    characters, alternatives = reading["characters"], reading["alternatives"]
    return Observation(
        reading=Reading(
            **{
                **reading,
                "log_prob": _log(reading["log_prob"]),
                "characters": None if characters is None else tuple(Character(**one) for one in characters),
                "alternatives": tuple(
                    Alternative(text=one["text"], log_prob=_log(one["log_prob"]), score=_log(one["score"]))
                    for one in alternatives
                ),
            }
        ),
        profile=Profile(**found["profile"]),
        verdicts=tuple(Verdict(word) for word in found["verdicts"]),
    )


def _log(value: float | None) -> float:
    """Return a log-probability; JSON has none of zero."""
    return -math.inf if value is None else value


def _exactly(connection: socket.socket, size: int) -> bytearray:
    found = bytearray(size)
    view, at = memoryview(found), 0
    while at < size:
        got = connection.recv_into(view[at:])
        if not got:
            raise EOFError("the other end is closed")
        at += got
    return found
