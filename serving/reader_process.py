"""The process that reads lines for a server: asked through a socket, until the other end is closed.

    {"do": "load", "bundle": DIR}                      -> {"digest": "sha256:..."}
    {"do": "observe", "bundle": DIR, "digest", "characters", "alternatives"}, then the image's bytes;
    or with {"decoded": {"shape": [height, width], "turned", "more_frames"}} beside them, and then its pixels
                                                       -> {"observation": {...}}
    -> {"image_error": {"reason", "message"}}, {"bundle_error": "..."} or {"failed": traceback}

The messages are those of `serving.reader_wire`. It imports the recogniser and no server, so that it starts quickly
and holds little memory.
"""

import argparse
import signal
import socket
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from htr.errors import BundleError, ImageError
from htr.image import Decoded, decode_first
from htr.recogniser import Recogniser
from serving.reader_wire import receive, send
from serving.served import load_warm

KEPT = 2
"""Models that are held at a time: the champion, and the one before it, whose requests are still being read."""


def serve(connection: socket.socket) -> None:
    """Answer until the other end is closed."""
    load = lru_cache(maxsize=KEPT)(load_warm)
    while True:
        try:
            asked, data = receive(connection)
        except EOFError:  # the server is gone, or has no more work
            return
        send(connection, _answer(asked, data, load))


def _answer(asked: dict[str, Any], image: bytes, load: Callable[[Path], Recogniser]) -> dict[str, Any]:
    try:
        recogniser = load(Path(asked["bundle"]))
        if asked["do"] == "load":
            return {"digest": recogniser.digest}
        if recogniser.digest != asked["digest"]:  # exchanged under the same path, and this process began since
            return {
                "bundle_error": f"{asked['bundle']}: is another bundle now; start the server again to serve it"
            }
        decoded = _decoded(asked["decoded"], image) if "decoded" in asked else decode_first(image)
        wanted = {name: asked[name] for name in ("characters", "alternatives")}
        return {"observation": next(recogniser.observe_decoded([decoded], **wanted))}
    except ImageError as error:
        return {"image_error": {"reason": error.reason, "message": str(error)}}
    except BundleError as error:
        return {"bundle_error": str(error)}
    except Exception:  # told to the server, which logs it: one bad line must not cost the process
        return {"failed": traceback.format_exc()}


def _decoded(told: dict[str, Any], pixels: bytes) -> Decoded:
    grey = np.frombuffer(pixels, np.uint8).reshape(told["shape"])
    return Decoded(grey=grey, turned=told["turned"], more_frames=told["more_frames"])


def main() -> None:
    """Take the socket that was passed on and serve it."""
    parser = argparse.ArgumentParser(prog="serving.reader_process", description=__doc__.splitlines()[0])
    parser.add_argument("--socket", type=int, required=True, help="descriptor to be asked through")
    descriptor = parser.parse_args().socket
    # Both are meant for the server, which lets requests in flight be read to their end and then closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
