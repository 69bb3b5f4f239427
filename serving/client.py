"""A client for programs: images of lines and pages in, readings out, and corrections of them back to the server.

It needs Python's standard library and `htr.errors`. Its errors are drawn in `serving.client_wire`, what it returns
in `serving.client_readings`.
"""

import base64
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from serving.client_readings import FileRead, LineRead, PageLineRead, PageRead, file_read, lines_read
from serving.client_wire import (
    ConflictError,
    RefusedError,
    StrangeAnswerError,
    TooLargeError,
    UnreachableError,
    Wire,
)

__all__ = [
    "Client",
    "ConflictError",
    "FileRead",
    "LineRead",
    "PageLineRead",
    "PageRead",
    "RefusedError",
    "StrangeAnswerError",
    "TooLargeError",
    "UnreachableError",
]


class Client:
    """Talks to one server; safe to share between threads.

    Args:
        url: ``http://host:port`` or ``https://host:port``, with a path before ``/v1`` if there is one.
        model: name of the one that reads lines.
        pages_model: name of the one that reads pages.
        timeout_s: longest that a connection may stay silent.
        token: sent with every request where the server, or what stands before it, wants one.
        wait: waits some seconds before the next try.

    Raises:
        SettingsError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "htr",
        pages_model: str = "pages",
        timeout_s: float = 30.0,
        token: str = "",
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._wire = Wire(url, timeout_s=timeout_s, token=token, wait=wait)
        self._model = model
        self._pages_model = pages_model

    def read(self, images: Sequence[bytes], *, characters: bool = False, alternatives: int = 0) -> list[LineRead]:
        """Return what the server reads on some encoded line images, in their order.

        Args:
            images: each of one line.
            characters: say where each character stands, and how sure the network was of it.
            alternatives: how many texts a line at most, the reading included; 0 is none.

        Raises:
            ServiceError: as the top of `serving.client_wire` shows.
        """
        sent = {
            "instances": [{"image": {"b64": _b64(image)}} for image in images],
            "parameters": {"characters": characters, "alternatives": alternatives},
        }
        answer = self._wire.call("POST", f"/v1/models/{self._model}:predict", sent)
        try:
            return lines_read(images, answer)
        except (KeyError, TypeError, ValueError) as error:
            raise self._wire.strange(f"an answer without {error}") from error

    def read_page(
        self,
        image: bytes,
        *,
        name: str = "",
        formats: Sequence[str] = (),
        crops: bool = False,
        characters: bool = False,
        alternatives: int = 0,
    ) -> FileRead:
        """Return what the server reads in a file of pages.

        Args:
            image: PNG, JPEG, WebP, BMP or GIF of one page; TIFF or PDF of several.
            name: of the file, for the XML that is made of it.
            formats: files to be made of it: some of text, alto, page, pdf, overlay.
            crops: give each line's image, which `correct` sends back.
            characters: say where each character stands on it.
            alternatives: how many texts a line at most, the reading included; 0 is none.

        Raises:
            ServiceError: as the top of `serving.client_wire` shows.
        """
        wanted = {"formats": list(formats), "crops": crops, "characters": characters, "alternatives": alternatives}
        sent = {"instances": [{"image": {"b64": _b64(image)}, "name": name}], "parameters": wanted}
        answer = self._wire.call("POST", f"/v1/models/{self._pages_model}:predict", sent)
        try:
            return file_read(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise self._wire.strange(f"an answer without {error}") from error

    def correct(
        self,
        seen: LineRead,
        text: str,
        *,
        author: str,
        correction_id: str = "",
        chosen_by: str = "reading",
        line: str = "",
        page: str = "",
        writer: str = "",
        language: str = "",
    ) -> str:
        """Send what a line really says; when this returns, the server has it on disk.

        Args:
            seen: what was read; a line of a page must have been read with ``crops``.
            text: what it says; the same text where the reading was right.
            author: who says so.
            correction_id: sent again under the same id it is stored once; by default a new UUID.
            chosen_by: ``sample`` where the line was looked at whatever the model read.
            line: your name of the line; a later correction of the same line of the same page replaces this one.
            page: your name of the page.
            writer: whose hand it is.
            language: ISO 639-3 code.

        Returns:
            The correction's id.

        Raises:
            ServiceError: as the top of `serving.client_wire` shows.
            ValueError: its image is not known.
        """
        if not seen.image:
            raise ValueError("the line has no image; read its page with crops=True")
        sent = {
            "id": correction_id or str(uuid.uuid4()),
            "author": author,
            "image": {"b64": _b64(seen.image)},
            "old_text": seen.text,
            "new_text": text,
            "chosen_by": chosen_by,
            **{name: getattr(seen, name) for name in ("model_version", "bundle_digest", "request_id", "position")},
            **{"line": line, "page": page, "writer": writer, "language": language},
        }
        self._wire.call("POST", "/v1/corrections", sent)
        return str(sent["id"])

    def withdraw(self, correction_id: str, *, author: str, reason: str = "") -> None:
        """Say that a correction is not to be learnt from.

        Raises:
            ServiceError: as the top of `serving.client_wire` shows.
        """
        self._wire.call(
            "POST", "/v1/corrections/withdraw", {"id": correction_id, "author": author, "reason": reason}
        )

    def corrections(self, *, start: int = 0, limit: int = 100) -> tuple[list[dict[str, Any]], int]:
        """Return stored corrections without their images, oldest first, and how many there are in all.

        Raises:
            ServiceError: as the top of `serving.client_wire` shows.
        """
        answer = self._wire.call("GET", "/v1/corrections?" + urlencode({"start": start, "limit": limit}))
        try:
            return list(answer["corrections"]), int(answer["count"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._wire.strange(f"an answer without {error}") from error


def _b64(image: bytes) -> str:
    return base64.b64encode(image).decode()
