"""A pod's network: nothing but what the table of allowed paths (docs/kubernetes.md) lets such a pod reach.

The network has a loopback and no other device. What a pod may reach is put onto it, port by port, by listening
there and talking on from here; so there is no filter that could leak, and a path that the table loses is
lost here. tests/manifests compares the table with the policies themselves.
"""

import contextlib
import ctypes
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docker import USER, Docker
from tests.servers import ROOT

PAGE = ROOT / "docs" / "kubernetes.md"
_ROW = re.compile(r"\| (?P<source>[^|]+) \| (?P<target>[^|]+) \| (?P<ports>TCP [^|]+) \|")
_NETWORKS = 0x40000000
"""CLONE_NEWNET."""


@dataclass(frozen=True, kw_only=True)
class PodNetwork:
    """A network that containers can join."""

    mode: str
    """As Docker calls it."""
    pid: int
    """A process in it."""


def allowed(source: str = "", target: str = "") -> set[tuple[str, int]]:
    """Return who may be reached from a source, or may reach a target, and on which port; from the table."""
    found = set()
    for row in _ROW.finditer(PAGE.read_text(encoding="utf-8")):
        if source in ("", row["source"]) and target in ("", row["target"]):
            other = row["target"] if source else row["source"]
            found |= {(other, int(port)) for port in re.findall(r"TCP (\d+)", row["ports"])}
    return found


@contextlib.contextmanager
def pod_network(
    docker: Docker, image: str, *, source: str, services: Mapping[str, tuple[str, int]]
) -> Iterator[PodNetwork]:
    """Make a network, and hold it open until the block ends.

    Args:
        docker: the daemon.
        image: of the container that holds it; it must have ``sleep``.
        source: whose pods these are, as the table calls them.
        services: host:port, as pods name it -> what that is in the table, and where it is on this machine.
    """
    may = allowed(source)
    hosts = {address.partition(":")[0] for address in services}
    words = [word for host in sorted(hosts) for word in ("--add-host", f"{host}:127.0.0.1")]
    alone = ["--network", "none", "--user", USER, "--read-only", "--cap-drop", "ALL"]
    held = docker.engine.run("run", "--detach", *alone, *words, "--entrypoint", "sleep", image, "infinity").strip()
    relays = []
    try:
        pid = docker.pid(held)
        for address, (target, here) in services.items():
            port = int(address.partition(":")[2])
            if (target, port) in may:  # what is not allowed is not there
                relays.append(_Relay(pid, port, here))
        yield PodNetwork(mode=f"container:{held}", pid=pid)
    finally:
        for relay in relays:
            relay.close()
        docker.engine.run("rm", "--force", held)


class _Relay:
    """Listens within a network and talks to a port of this machine."""

    def __init__(self, pid: int, port: int, here: int) -> None:
        self._here = here
        self._listening = _listen_in(pid, port)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                asked, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._here))
            except OSError:
                asked.close()
                continue
            for one, other in ((asked, server), (server, asked)):
                threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _listen_in(pid: int, port: int) -> socket.socket:
    """Listen within the network of a process: a socket stays in the network that it was made in."""
    libc = ctypes.CDLL(None, use_errno=True)
    made: list[socket.socket | OSError] = []

    def enter() -> None:  # a thread of its own: it does not come back
        network = os.open(Path("/proc") / str(pid) / "ns" / "net", os.O_RDONLY)
        try:
            failed = libc.setns(network, _NETWORKS)
            made.append(
                OSError(ctypes.get_errno(), "setns") if failed else socket.create_server(("127.0.0.1", port))
            )
        except OSError as error:
            made.append(error)
        finally:
            os.close(network)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    (found,) = made
    if isinstance(found, OSError):
        raise found
    return found
