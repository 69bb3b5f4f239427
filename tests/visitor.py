"""Somebody at the page without a browser: sends what Gradio's side in a browser would send, and anything else."""

import http.client
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

FILE = {"_type": "gradio.FileData"}
BOUNDARY = "a-line-between-parts"


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer, as much of it as came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(kw_only=True)
class Visitor:
    """Talks to one page; paths are sent as they are given, dots and all."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)
    session: str = field(default_factory=lambda: secrets.token_hex(6))

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        wait_s: float = 30,
        most: int = 1 << 24,
    ) -> Said:
        """Send a request; read an answer that never ends for as long as something comes.

        Args:
            wait_s: longest silence.
            most: bytes of the answer.
        """
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=wait_s)
        cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        try:
            connection.request(method, path, body, {**(cookie if self.cookies else {}), **(headers or {})})
            answer = connection.getresponse()
            read = bytearray()
            with suppress(TimeoutError, http.client.IncompleteRead):
                while len(read) < most and (piece := answer.read1(1 << 16)):
                    read += piece
            for one in answer.headers.get_all("set-cookie") or []:
                name, _, value = one.partition(";")[0].partition("=")
                self.cookies[name] = value
            return Said(status=answer.status, headers=dict(answer.headers), body=bytes(read))
        finally:
            connection.close()

    def post(self, path: str, sent: object, **how: Any) -> Said:
        """Send JSON."""
        return self.ask("POST", path, json.dumps(sent).encode(), {"content-type": "application/json"}, **how)

    def come_in(self, name: str, token: str) -> bool:
        """Log in; return whether that was taken."""
        form = urlencode({"username": name, "password": token}).encode()
        said = self.ask("POST", "/login", form, {"content-type": "application/x-www-form-urlencoded"})
        return said.status == 200

    def upload(self, name: str, data: bytes, query: str = "") -> Said:
        """Send a file; the answer holds the path by which it is named from then on."""
        body = multipart(name, data)
        return self.ask(
            "POST",
            f"/gradio_api/upload{query}",
            body,
            {"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        )

    def functions(self) -> dict[str, dict[str, Any]]:
        """Return what the page can be made to do, by what it begins with: ``#file upload``, ``Send ⏎ click``."""
        config = self.ask("GET", "/config").json
        props = {one["id"]: one["props"] for one in config["components"]}
        found = {}
        for one in config["dependencies"]:
            for number, event in one["targets"]:
                at = props.get(number, {})
                name = at.get("elem_id") or at.get("value") or ""
                found.setdefault(f"{name} {event}", one)
        return found

    def join(self, function: int, data: list[Any], **more: Any) -> Said:
        """Ask for something to be done; the answer holds the event's id."""
        sent = {"data": data, "fn_index": function, "session_hash": self.session, "trigger_id": None, **more}
        return self.post("/gradio_api/queue/join", sent)

    def outcome(self, **how: Any) -> Said:
        """Return what was told of all that this session asked for, until it is done."""
        return self.ask("GET", f"/gradio_api/queue/data?session_hash={self.session}", **how)

    def do(self, function: int, data: list[Any], **more: Any) -> bytes:
        """Have something done and return what was told of it."""
        joined = self.join(function, data, **more)
        return self.outcome().body if joined.status == 200 else joined.body


def multipart(name: str, data: bytes) -> bytes:
    """Return the body that uploads one file."""
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def named(path: str) -> dict[str, Any]:
    """Return what a button sends that names a file."""
    return {"path": path, "orig_name": path.rpartition("/")[2], "meta": FILE}
