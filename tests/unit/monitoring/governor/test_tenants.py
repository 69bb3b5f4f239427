"""A governor of one tenant, asked by another's client by each of its routes."""

import json
import re
from pathlib import Path

import pytest

from htr.access_log import AccessLog
from htr.tenants import MARK, VARIABLE
from htr.tokens import read_token
from monitoring.__main__ import main
from monitoring.governor import receiver
from monitoring.governor.governor import Governor
from tests.fakes import NOON
from tests.governor import FolderCluster, SetLabels, SetRegistry, make_governor
from tests.unit.monitoring.governor.test_receiver import ask, fires, serving, webhook

TOKENS = {"claims": "c" * 32, "ward-7": "w" * 32}
BODIES = {
    "/v1/alerts": webhook(fires("ward")),
    "/v1/wishes": {"id": "ward-wish", "reason": "ward"},
    "/v1/registry": {},
}
OPEN = {"/healthz"}


@pytest.fixture
def routes() -> set[str]:
    """Return every path that the receiver's text names."""
    found = set(re.findall(r'"(/[a-z0-9/]+)"', Path(receiver.__file__).read_text(encoding="utf-8")))
    assert {"/v1/alerts", "/v1/state", "/metrics"} <= found
    return found


def governor_of(tenant: str, root: Path) -> Governor:
    folder = root / tenant
    made = make_governor(
        folder / "state", FolderCluster(folder / "cluster"), labels=SetLabels(), registry=SetRegistry(tenant)
    )
    made.turn()
    return made


def test_by_no_route_does_a_client_of_another_tenant_learn_or_begin_anything(
    routes: set[str], tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    file.write_text("".join(f"{name}/desk: {word}\n" for name, word in TOKENS.items()))
    governor = governor_of("claims", tmp_path)
    token = read_token(file, {VARIABLE: "claims"}, flag="--token-file", variable="")
    log = AccessLog(tmp_path / "access.jsonl", service="governor", clock=lambda: NOON)
    before = governor.state.seq
    with serving(governor, token=token, log=log) as url:
        for path in sorted(routes):
            answers = {
                ask(url + path, BODIES.get(path), token=sent) for sent in (TOKENS["ward-7"], "n" * 32, None)
            }
            assert len(answers) == 1, path
            assert answers.pop()[0] == (200 if path in OPEN else 401), path
    assert governor.state.seq == before
    clients = {json.loads(line)["client"] for line in (tmp_path / "access.jsonl").read_text().splitlines()}
    assert clients == {""}


def test_what_one_governor_knows_is_in_no_answer_of_the_others(routes: set[str], tmp_path: Path) -> None:
    ours, theirs = governor_of("claims", tmp_path), governor_of("ward-7", tmp_path)
    with serving(theirs, token=TOKENS["ward-7"]) as url:
        assert ask(f"{url}/v1/wishes", {"id": "ward-wish", "reason": "ward"}, token=TOKENS["ward-7"])[0] == 200
        assert "ward" in ask(f"{url}/v1/state", token=TOKENS["ward-7"])[1]
    with serving(ours, token=TOKENS["claims"]) as url:
        for path in sorted(routes):
            status, said = ask(url + path, {} if path == "/v1/registry" else None, token=TOKENS["claims"])
            assert "ward" not in said, path
            assert status in {200, 404}, path
        answer = ask(f"{url}/v1/wishes", {"id": "ward-wish", "reason": "mine"}, token=TOKENS["claims"])
    assert json.loads(answer[1])["decisions"][0]["decision"] == "train"  # theirs of that id is no repetition


def test_its_state_folder_is_claimed_and_another_tenants_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "serve-governor",
        "--state",
        str(tmp_path / "state"),
        "--local-root",
        str(tmp_path),
        "--host",
        "192.0.2.1",
    ]
    monkeypatch.setenv("QUILLFLOW_GOVERNOR_TOKEN", TOKENS["ward-7"])
    monkeypatch.setenv(VARIABLE, "ward-7")
    assert main(command) == 2  # the address is nobody's, and found to be so later
    assert json.loads((tmp_path / "state" / MARK).read_text())["tenant"] == "ward-7"
    capsys.readouterr()
    monkeypatch.setenv(VARIABLE, "claims")
    assert main(command) == 2
    assert "belongs to another tenant" in capsys.readouterr().err
    monkeypatch.delenv("QUILLFLOW_GOVERNOR_TOKEN")
    assert main([*command[:2], str(tmp_path / "mine"), *command[3:]]) == 2
    assert "clients must have a token" in capsys.readouterr().err
