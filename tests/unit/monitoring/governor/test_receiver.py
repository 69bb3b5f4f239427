import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from htr.access_log import AccessLog
from htr.errors import SettingsError
from htr.rates import GUESSES_A_MINUTE, Rates
from monitoring.governor.governor import Governor
from monitoring.governor.journal import read_journal
from monitoring.governor.metrics import GovernorMetrics
from monitoring.governor.receiver import MOST_BODY_BYTES, make_server
from monitoring.governor.service import Service
from monitoring.governor.tls import Tls
from tests.certificates import make_certificates
from tests.governor import FolderCluster, SetLabels, SetRegistry, make_governor

TOKEN = "a-token-of-many-letters"  # noqa: S105 - of a test


@pytest.fixture
def governor(tmp_path: Path) -> Governor:
    made = make_governor(
        tmp_path / "state", FolderCluster(tmp_path / "cluster"), labels=SetLabels(), registry=SetRegistry()
    )
    made.turn()
    return made


@contextmanager
def serving(
    governor: Governor, *, token: str | None = TOKEN, tls: Tls | None = None, **more: Any
) -> Iterator[str]:
    service = Service(governor=governor, metrics=GovernorMetrics(governor=governor).text, token=token, **more)
    server = make_server(service, "127.0.0.1", 0, tls)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def ask(
    url: str,
    body: Any = None,
    *,
    token: str | None = TOKEN,
    context: ssl.SSLContext | None = None,
    headers: Mapping[str, str] = MappingProxyType({"Content-Type": "application/json"}),
) -> tuple[int, str]:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - to ourselves
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def webhook(*alerts: dict[str, Any], group: str = "{}:{alertname=HandwritingDrift}") -> dict[str, Any]:
    return {"version": "4", "groupKey": group, "status": "firing", "alerts": list(alerts)}


def fires(digest: str = "A", **changes: Any) -> dict[str, Any]:
    labels = {"alertname": "HandwritingDrift", "bundle_digest": digest}
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "slant and noise"},
        "startsAt": "2026-11-20T12:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"f{digest}",
        **changes,
    }


def test_a_webhook_is_decided_and_on_disk_when_it_is_answered(governor: Governor, tmp_path: Path) -> None:
    with serving(governor) as url:
        status, answer = ask(f"{url}/v1/alerts", webhook(fires(), fires("B")))
        assert status == 200
        assert [one["decision"] for one in json.loads(answer)["decisions"]] == ["ask_for_labels", "ignore"]
        again = json.loads(ask(f"{url}/v1/alerts", webhook(fires()))[1])["decisions"]
    assert again[0]["reason"].startswith("answered already, by record")
    told = [record.event for record in read_journal(tmp_path / "state") if record.event.KIND == "alert"]
    assert [one.model for one in told] == ["A", "B"]
    assert told[0].summary == "slant and noise"
    assert told[0].episode == "{}:{alertname=HandwritingDrift} fA 2026-11-20T12:00:00.000Z"


def test_a_wish_is_answered_and_the_same_wish_is_one(governor: Governor) -> None:
    with serving(governor) as url:
        first = ask(f"{url}/v1/wishes", {"id": "scanner", "reason": "a new scanner"})
        assert json.loads(first[1])["decisions"][0]["decision"] == "train"
        second = ask(f"{url}/v1/wishes", {"id": "scanner"})
        assert json.loads(second[1])["decisions"][0]["decision"] == "ignore"
        state = json.loads(ask(f"{url}/v1/state")[1])
    assert state["run"]["num_attempts"] == 0
    assert state["champion"]["digest"] == "A"


@pytest.mark.parametrize("token", [None, "another-token-of-letters", ""])
def test_without_the_token_nothing_is_told_and_nothing_decided(governor: Governor, token: str | None) -> None:
    before = governor.state.seq
    with serving(governor) as url:
        for path in ("/v1/alerts", "/v1/wishes", "/v1/registry"):
            assert ask(url + path, webhook(fires()), token=token)[0] == 401
        for path in ("/metrics", "/v1/state", "/nowhere"):
            assert ask(url + path, token=token)[0] == 401
        assert ask(f"{url}/healthz", token=token) == (200, '{"well": true, "troubles": []}')
    assert governor.state.seq == before


def test_health_names_the_parts_that_do_not_work_and_the_token_what_is_the_matter(governor: Governor) -> None:
    governor.troubles.update(
        {"watch": "Prometheus at http://inner: away", "registry": "MLflow at http://db: away"}
    )
    with serving(governor) as url:
        assert json.loads(ask(f"{url}/healthz", token=None)[1])["troubles"] == ["registry", "watch"]
        told = json.loads(ask(f"{url}/v1/state")[1])["troubles"]
    assert told["watch"] == "Prometheus at http://inner: away"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json", "Origin": "http://page.example"}, 403),
        ({"Content-Type": "application/json", "Origin": "null"}, 403),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 200),
    ],
)
def test_no_web_page_begins_a_training_even_where_no_token_is_asked_for(
    governor: Governor, headers: dict[str, str], status: int
) -> None:
    before = governor.state.seq
    with serving(governor, token=None) as url:
        found, answer = ask(f"{url}/v1/wishes", {"id": "w"}, token=None, headers=headers)
    assert found == status, answer
    assert (governor.state.seq > before) == (status == 200)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/alerts", b"{", 400, "not JSON"),
        ("/v1/alerts", b"[" * 100_000, 400, "not JSON"),
        ("/v1/alerts", [], 400, 'version: expected \\"4\\"'),
        ("/v1/alerts", {"version": "3"}, 400, "version"),
        ("/v1/alerts", {"version": "4", "groupKey": 7}, 400, "groupKey: expected text"),
        ("/v1/alerts", {"version": "4", "groupKey": "g", "alerts": {}}, 400, "alerts: expected a list"),
        ("/v1/alerts", webhook({"status": "odd"}), 400, "alerts[0].status"),
        ("/v1/alerts", webhook(fires(startsAt=7)), 400, "alerts[0].startsAt"),
        ("/v1/alerts", webhook(fires(), fires(labels={"alertname": 7})), 400, "alerts[1].labels"),
        ("/v1/alerts", webhook(fires(labels={})), 400, "alerts[0].labels.alertname"),
        ("/v1/wishes", {"id": ""}, 400, "id: expected text"),
        ("/v1/wishes", {"id": "x", "by": "nobody"}, 400, "by: expected person or schedule"),
        ("/v1/wishes", {"id": "x", "now": True}, 400, "expected an object"),
        ("/nowhere", {}, 404, "there is nothing at '/nowhere'"),
    ],
)
def test_a_body_that_is_wrong_is_refused_whole_and_by_name(
    governor: Governor, path: str, body: Any, status: int, said: str
) -> None:
    before = governor.state.seq
    with serving(governor) as url:
        found, answer = ask(url + path, body)
    assert (found, said in answer) == (status, True), answer
    assert governor.state.seq == before


def test_a_body_that_is_too_large_is_not_read(governor: Governor) -> None:
    with serving(governor) as url:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/v1/alerts", b"{}", headers)  # noqa: S310
        request.add_unredirected_header("Content-Length", str(MOST_BODY_BYTES + 1))
        with pytest.raises(urllib.error.HTTPError, match="413"):
            urllib.request.urlopen(request, timeout=10)  # noqa: S310


def test_a_decision_that_cannot_be_written_is_answered_with_503(governor: Governor, tmp_path: Path) -> None:
    file = tmp_path / "state" / "governor.jsonl"
    file.rename(tmp_path / "away")
    file.mkdir()  # works for root, whom no mode keeps from writing
    with serving(governor) as url:
        status, answer = ask(f"{url}/v1/alerts", webhook(fires()))
        assert (status, "send it again" in answer) == (503, True)
        file.rmdir()
        (tmp_path / "away").rename(file)
        assert ask(f"{url}/v1/alerts", webhook(fires()))[0] == 200


def test_a_wish_before_the_registry_has_answered_is_to_be_sent_again(tmp_path: Path) -> None:
    registry = SetRegistry()
    registry.is_down = True
    made = make_governor(tmp_path / "state", FolderCluster(tmp_path / "cluster"), registry=registry)
    with serving(made) as url:
        status, answer = ask(f"{url}/v1/wishes", {"id": "w"})
        assert (status, "registry has not answered yet; send it again" in answer) == (503, True)
        registry.is_down = False
        made.turn()
        assert ask(f"{url}/v1/wishes", {"id": "w"})[0] == 200
        assert json.loads(ask(f"{url}/v1/state")[1])["run"]["time"].startswith("2026-11-20T12:00:00")


def test_metrics_tell_the_state(governor: Governor) -> None:
    with serving(governor) as url:
        ask(f"{url}/v1/alerts", webhook(fires()))
        told = ask(f"{url}/metrics")[1].splitlines()
    assert 'quillflow_champion_info{bundle_digest="A",version="A"} 1.0' in told
    assert 'quillflow_governor_concerns{kind="drift"} 1.0' in told
    assert 'quillflow_governor_decisions_total{choice="ask_for_labels"} 1.0' in told
    assert "quillflow_labelling_wanted 128.0" in told


def test_with_mutual_tls_only_a_signed_client_is_answered(governor: Governor, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    files = {name: tmp_path / name for name in ("server.pem", "server.key", "ca.pem")}
    tls = Tls(certificate=files["server.pem"], key=files["server.key"], clients=files["ca.pem"])
    stranger = ssl.create_default_context(cafile=str(files["ca.pem"]))
    known = ssl.create_default_context(cafile=str(files["ca.pem"]))
    known.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    with serving(governor, tls=tls, token=None) as url:
        with pytest.raises((urllib.error.URLError, OSError)):
            ask(f"{url}/v1/alerts", webhook(fires()), token=None, context=stranger)
        assert ask(f"{url}/v1/alerts", webhook(fires()), token=None, context=known)[0] == 200


def test_a_certificate_that_cannot_be_used_is_a_users_mistake(governor: Governor, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    tls = Tls(certificate=tmp_path / "no.pem", key=tmp_path / "no.pem")
    with pytest.raises(SettingsError, match="--tls-cert"), serving(governor, tls=tls):
        pass


def test_who_posts_too_often_is_told_when_to_come_back_and_all_is_noted(
    governor: Governor, tmp_path: Path
) -> None:
    log = AccessLog(tmp_path / "access.jsonl", service="governor", clock=lambda: datetime.now(UTC))
    with serving(governor, rates=Rates(2), log=log) as url:
        statuses = [ask(f"{url}/v1/registry", {})[0] for _ in range(4)]
        guesses = [ask(f"{url}/v1/Ada-Byron", {}, token="b" * 20)[0] for _ in range(2)]
        assert ask(f"{url}/v1/state")[0] == 200, "asking writes nothing"
    assert statuses == [200, 200, 429, 429]
    assert guesses == [401, 401], "who has no right token has a bucket of its own"
    noted = [json.loads(line) for line in (tmp_path / "access.jsonl").read_text().splitlines()]
    assert [(one["route"], one["client"], one["status"]) for one in noted] == [
        ("POST /v1/registry", "token", 200),
        ("POST /v1/registry", "token", 200),
        ("POST /v1/registry", "token", 429),
        ("POST (another)", "", 401),
        ("POST (another)", "", 401),
    ]


def test_who_sends_many_wrong_tokens_is_told_to_wait_whatever_it_asks_for_and_the_right_one_is_let_in(
    governor: Governor, tmp_path: Path
) -> None:
    log = AccessLog(tmp_path / "access.jsonl", service="governor", clock=lambda: datetime.now(UTC))
    routes = ("/metrics", "/v1/state", "/nowhere")
    with serving(governor, log=log, rates=Rates(0)) as url:
        asked = [ask(url + routes[n % 3], token="b" * 20)[0] for n in range(GUESSES_A_MINUTE + 3)]
        posted = [ask(f"{url}/v1/registry", {}, token="b" * 20)[0] for _ in range(GUESSES_A_MINUTE + 3)]
        status, answer = ask(f"{url}/metrics", token="c" * 20)
        without = [ask(url + route, token=None)[0] for route in routes]
        right = [ask(url + route)[0] for route in routes]
        assert ask(f"{url}/healthz", token="b" * 20)[0] == 200, "probes have no token"
    assert asked == posted == [401] * GUESSES_A_MINUTE + [429] * 3
    assert (status, "too many wrong tokens from this client; come back in" in answer) == (429, True)
    assert without == [401, 401, 401], "to have no token is no guess"
    assert right == [200, 200, 404]
    noted = [json.loads(line)["status"] for line in (tmp_path / "access.jsonl").read_text().splitlines()]
    assert noted == [401] * GUESSES_A_MINUTE + [429], "of a row of 429 the first is noted"


def test_where_no_token_is_asked_for_none_is_wrong(governor: Governor) -> None:
    with serving(governor, token=None, guesses=Rates(1)) as url:
        assert [ask(f"{url}/metrics", token="b" * 20)[0] for _ in range(3)] == [200] * 3


def test_what_is_replayed_does_nothing(governor: Governor, tmp_path: Path) -> None:
    sent = [("/v1/alerts", webhook(fires())), ("/v1/wishes", {"id": "w"}), ("/v1/registry", {})]
    with serving(governor) as url:
        for path, body in sent:
            assert ask(f"{url}{path}", body)[0] == 200
        before = len(read_journal(tmp_path / "state"))
        for path, body in sent * 3:
            answer = json.loads(ask(f"{url}{path}", body)[1])["decisions"]
            assert {one["decision"] for one in answer} <= {"ignore"}
    later = read_journal(tmp_path / "state")[before:]
    assert {record.decision.choice for record in later} <= {"ignore"}
