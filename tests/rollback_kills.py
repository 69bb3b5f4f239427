"""Kill -9 at every write of a rollback: the alias, the servers, and what the journal says of both.

    python -m tests.rollback_kills FOLDER

A new champion does worse, the governor takes it back, and ends itself with SIGKILL at one place: before or after a
record is on disk, before or after the registry or Kubernetes has done what it was asked. Another process goes on.
Kubernetes' API lives on in the parent. Prints one JSON line a place.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from htr.bundle import Bundle, amend_bundle
from htr.pretrained import PRETRAINED, resolve
from htr.versions import open_store
from k8s.cluster.release import Servers
from monitoring.governor.events import Champion, Figures
from monitoring.governor.journal import read_journal
from monitoring.governor.servers import ClusterServers
from tests.governor import HOUR, FolderCluster, WorldClock, make_governor
from tests.governor_kills import count_and_kill, in_a_child
from tests.kubernetes_api import kubernetes_api
from tests.rollout import CANARY_PATH, STABLE_PATH, place_release
from tests.rollout_kills import CountedApi

GOOD = Figures(readings=1000, doubt=0.10)


class FileRegistry:
    """A registry in a file, whose champion goes from version 1 to 2 and back."""

    def __init__(self, file: Path, digests: dict[str, str], step: Callable[[], None]) -> None:
        self.file, self.digests, self._step = file, digests, step

    def champion(self) -> Champion:
        version = self.file.read_text()
        before = "1" if version == "2" else ""
        digest = self.digests[version]
        return Champion(
            version=version, digest=digest, previous=before, previous_digest=self.digests.get(before, "")
        )

    def asked_by(self, version: str) -> str:
        return ""

    def move_back(self, champion: Champion) -> tuple[bool, str]:
        self._step()
        self.file.write_text(champion.previous)
        self._step()
        return True, f"version {champion.previous} is champion again"


class Figured:
    """The new champion doubts more."""

    def compare(self, champion: Champion, watched_s: float) -> tuple[Figures, Figures]:
        return replace(GOOD, doubt=0.5), GOOD


def main(folder: Path) -> int:
    """Tell the story for every place; return 0."""
    store = open_store(folder / "store")
    shipped = Bundle.open(resolve(PRETRAINED))
    two = [amend_bundle(shipped, folder / commit, {}, git_commit=commit) for commit in ("good", "worse")]
    uris = [store.publish("bundle", "quillflow", bundle.path).uri for bundle in two]
    place = 0
    while True:
        place += 1
        world = folder / f"{place:03}"
        world.mkdir()
        with kubernetes_api() as api:
            place_release(api, stable=uris[1], canary=uris[1])
            begin(world, uris)
            killed = in_a_child(lambda world=world, place=place: go_on(world, uris, api.url, place))  # type: ignore[misc]
            in_a_child(lambda world=world: go_on(world, uris, api.url, 0))  # type: ignore[misc]
            told = [
                api.objects[path]["spec"]["predictor"]["model"]["storageUri"]
                for path in (STABLE_PATH, CANARY_PATH)
            ]
            events = [record.event.KIND for record in read_journal(world / "state")]
            found: dict[str, Any] = {
                "place": place,
                "killed": killed,
                "alias": (world / "alias").read_text(),
                "back": [uri == uris[0] for uri in told],
                "writes": sorted(path.rpartition("/")[2] for _, path in api.writes),
                "rolled_back": events.count("rolled_back"),
                "servers_told": events.count("servers_told"),
            }
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        if not killed:
            return 0


def begin(world: Path, uris: list[str]) -> None:
    """Have version 2 take over from version 1."""
    (world / "alias").write_text("1")
    digests = {str(number + 1): f"sha256:{uri[-64:]}" for number, uri in enumerate(uris)}
    registry = FileRegistry(world / "alias", digests, lambda: None)
    clock = WorldClock()
    governor = make_governor(world / "state", FolderCluster(world / "cluster"), clock=clock, registry=registry)
    governor.turn()
    (world / "alias").write_text("2")
    clock.pass_by(60.0)
    governor.turn()


def go_on(world: Path, uris: list[str], url: str, kill_at: int) -> None:
    """Go on from the journal, as a process that has just begun does."""
    step = count_and_kill(kill_at)
    digests = {str(number + 1): f"sha256:{uri[-64:]}" for number, uri in enumerate(uris)}
    api = CountedApi(url=url, wait=lambda _: None, step=step)
    clock = WorldClock()
    governor = make_governor(
        world / "state",
        FolderCluster(world / "cluster"),
        clock=clock,
        registry=FileRegistry(world / "alias", digests, step),
        measures=Figured(),
        servers=ClusterServers(servers=Servers(api=api), names=("quillflow", "quillflow-canary")),
    )
    for _ in range(4):
        clock.pass_by(HOUR / 6)
        governor.turn()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
