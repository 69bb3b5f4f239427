"""Every route of the page's application, and by each the ways in which one tenant's client reaches for another's.

`ATTACKS` has what the page offers, `SHUT` what Gradio brings besides. A route in neither fails a test: look at it,
leave it shut, and write it down here.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount

from tests.visitor import Said, Visitor, named

SHUT = frozenset({
    "/gradio_api/deep_link", "/gradio_api/user", "/gradio_api/login_check", "/gradio_api/token",
    "/gradio_api/dev/reload", "/gradio_api/runs", "/gradio_api/info", "/gradio_api/openapi.json",
    "/gradio_api/custom_component/{id}/{environment}/{type}/{file_name}", "/gradio_api/proxy={url_path:path}",
    "/gradio_api/stream/{event_id}", "/gradio_api/stream/{event_id}/close",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file",
    "/gradio_api/file/{path:path}", "/gradio_api/reset", "/gradio_api/run/{api_name}",
    "/gradio_api/api/{api_name}",
    "/gradio_api/call/v2/{api_name}", "/gradio_api/call/{api_name}", "/gradio_api/cancel",
    "/gradio_api/call/v2/{api_name}/{event_id}", "/gradio_api/call/{api_name}/{event_id}",
    "/gradio_api/component_server", "/gradio_api/queue/status", "/gradio_api/startup-events",
    "/gradio_api/theme.css", "/gradio_api/process_recording", "/gradio_api/vibe-edit",
    "/gradio_api/undo-vibe-edit", "/gradio_api/vibe-code", "/gradio_api/vibe-starter-queries",
    "/svelte/{path:path}", "/robots.txt", "/pwa_icon", "/pwa_icon/{size}", "/monitoring", "/monitoring/summary",
    "/monitoring/{key}",
})  # fmt: skip
"""Routes of Gradio's that the page has no use for."""


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """What of another tenant may be named."""

    files: list[str]
    """Paths of what exists: in log, corrections and queue, uploaded to the page, made by it; tokens."""
    sessions: list[str]
    """Of a page that is open, and events of it."""
    addresses: list[str]
    """What the page might be made to ask: their server and page, and a listener by several names."""
    token: str

    @property
    def names(self) -> list[str]:
        """Everything, in the spellings that might get past a door."""
        up = "../" * 12
        one = self.files[0].lstrip("/")
        spelt = [
            up + one,
            quote(up + one, safe=""),
            quote(quote(up + one, safe="")),
            f"..\\{one}",
            f"file:///{one}",
        ]
        return [*self.files, *spelt, f"//{one}", f"{self.files[0]}%00.png", *self.addresses, *self.sessions]

    @property
    def few(self) -> list[str]:
        """One of each kind, for routes that take no name."""
        return [self.files[0], "../" * 12 + self.files[0].lstrip("/"), self.addresses[0], *self.sessions]


Told = Iterator[tuple[list[str], Said]]
"""Answers, each with what the question said that the answer may say as well."""
Attack = Callable[[Visitor, Theirs], Told]


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """Return methods and paths of all that an application answers, what is mounted and included in it as well."""
    return set(_found(list(app.routes)))


def _found(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _found(list(route.routes), prefix + route.path)
        elif hasattr(route, "effective_route_contexts"):  # FastAPI's way of keeping included routers
            for one in route.effective_route_contexts():
                yield from ((method, prefix + one.path) for method in sorted(one.methods))
        else:
            assert hasattr(route, "methods"), f"{route!r} is no request and answer; what is it?"
            yield from ((method, prefix + route.path) for method in sorted(route.methods))


def shut(visitor: Visitor, method: str, path: str, theirs: Theirs) -> Told:
    """Ask for what the page does not have, by all names that it could be asked for."""
    for name in theirs.names if "{" in path else [theirs.sessions[0]]:
        url = re.sub(r"\{[^}]+\}", lambda _: _sent(name), path)  # noqa: B023 - called at once
        query = "&".join(
            f"{key}={quote(name, safe='')}" for key in ("session_hash", "event_id", "page", "deep_link")
        )
        body = {
            "data": [named(name)], "session_hash": name, "event_id": name, "fn_index": 0, "component_id": 1,
            "fn_name": "read", "prompt": name, "code": name, "hash": name,
        }  # fmt: skip
        if method == "POST":
            yield [name], visitor.post(url, body)
        else:
            yield [name], visitor.ask(method, f"{url}?{query}")


def _plain(path: str) -> Attack:
    def attack(visitor: Visitor, theirs: Theirs) -> Told:
        for name in theirs.few:
            sent = quote(name, safe="")
            query = f"page={sent}&deep_link={sent}&session_hash={sent}&path={sent}&__sign={sent}"
            headers = {"x-gradio-session": sent, "referer": sent, "x-forwarded-host": "elsewhere"}
            yield [name, sent], visitor.ask("GET", f"{path}?{query}", headers=headers)

    return attack


def _placed(before: str) -> Attack:
    def attack(visitor: Visitor, theirs: Theirs) -> Told:
        for name in theirs.names:
            for sent, headers in ((_sent(name), {}), (quote(name, safe=""), {"range": "bytes=0-400"})):
                yield [name, sent], visitor.ask("GET", before + sent, headers=headers)

    return attack


def _login(visitor: Visitor, theirs: Theirs) -> Told:
    stranger = Visitor(url=visitor.url)
    for name, token in [("Agathe", theirs.token), ("ward-7/desk", theirs.token), (theirs.files[0], "")]:
        came_in = stranger.come_in(name, token)
        assert not came_in, name
        yield [], stranger.ask("GET", "/config")


def _logout(visitor: Visitor, theirs: Theirs) -> Told:
    stranger = Visitor(url=visitor.url, cookies={"session": theirs.sessions[0]})
    yield [], stranger.ask("GET", f"/logout?all_session=true&_target_url={quote(theirs.addresses[0])}")


def _join(visitor: Visitor, theirs: Theirs) -> Told:
    for function in _that_take_something(visitor):
        first = theirs.files[0]
        wrapped = ([named(first)], {"path": first}, {"value": {"a": named(first)}}, named(f"{first}\0"))
        for sent in (*map(named, [*theirs.files, *theirs.addresses, "../" * 12 + first]), *wrapped):
            yield theirs.files, visitor.join(function["id"], [sent] * len(function["inputs"]))
        yield [*theirs.files, *theirs.addresses], visitor.outcome()
    for name in theirs.sessions:
        other = Visitor(url=visitor.url, cookies=visitor.cookies, session=name)
        for function in _that_take_something(visitor)[:2]:
            yield [name], other.join(function["id"], [None] * len(function["inputs"]), event_id=name)
        yield [name], other.outcome()


def _that_take_something(visitor: Visitor) -> list[dict[str, object]]:
    """Return what the page does, one for each set of things that it is done with."""
    if not visitor.cookies or visitor.ask("GET", "/config").status != 200:
        return [{"id": number, "inputs": [0, 1, 2]} for number in range(3)]
    return list(
        {str(one["inputs"]): one for one in visitor.functions().values() if len(one["inputs"]) > 1}.values()
    )


def _data(visitor: Visitor, theirs: Theirs) -> Told:
    for name in theirs.names:
        sent = quote(name, safe="")
        path = f"/gradio_api/queue/data?session_hash={sent}&event_id={sent}"
        yield [name, sent], visitor.ask("GET", path, wait_s=0.5)  # it stays open for a session that is known


def _upload(visitor: Visitor, theirs: Theirs) -> Told:
    for name in theirs.names:
        query = f"?upload_id={quote(theirs.sessions[0])}&dir={quote(name, safe='')}"
        shown = name.encode("ascii", "replace").decode().replace('"', "").replace("\0", "")
        yield [name, name.rpartition("/")[2]], visitor.upload(shown, b"of another", query)


def _progress(visitor: Visitor, theirs: Theirs) -> Told:
    for name in theirs.sessions[:1]:  # it waits three seconds for an upload to begin
        yield [name], visitor.ask("GET", f"/gradio_api/upload_progress?upload_id={name}")


def _beat(visitor: Visitor, theirs: Theirs) -> Told:
    for name in theirs.sessions:
        yield [name], visitor.ask("GET", f"/gradio_api/heartbeat/{quote(name, safe='')}", most=1)


def _sent(name: str) -> str:
    """Return a name as it may stand in a request's first line, its slashes, dots and signs left as they are."""
    return quote(name, safe="/:.%\\?=&@[]")


ATTACKS: dict[str, Attack] = {
    "/": _plain("/"),
    "/config": _plain("/config"),
    "/theme.css": _plain("/theme.css"),
    "/favicon.ico": _plain("/favicon.ico"),
    "/manifest.json": _plain("/manifest.json"),
    "/gradio_api/app_id": _plain("/gradio_api/app_id"),
    "/assets/{path:path}": _placed("/assets/"),
    "/static/{path:path}": _placed("/static/"),
    "/gradio_api/file={path_or_url:path}": _placed("/gradio_api/file="),
    "/login": _login,
    "/logout": _logout,
    "/gradio_api/queue/join": _join,
    "/gradio_api/queue/data": _data,
    "/gradio_api/upload": _upload,
    "/gradio_api/upload_progress": _progress,
    "/gradio_api/heartbeat/{session_hash}": _beat,
}
"""By what the page offers."""
