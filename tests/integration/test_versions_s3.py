"""The store of versions on a real S3 server: Ceph's RADOS Gateway."""

import io
import json
import logging
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import S3Error
from minio.versioningconfig import VersioningConfig

from htr.__main__ import main
from htr.bundle import WEIGHTS, Bundle
from htr.checkpoint_store import CheckpointStore
from htr.errors import AlteredError, ErasedError, MissingError, StoreError
from htr.lines import LinesWriter
from htr.versions import VersionStore, open_lines, open_store
from htr.versions.credentials import s3_settings
from htr.versions.fetching import blob_key
from htr.versions.records import Index
from htr.versions.s3 import S3Objects, connection
from pipelines.doctor.findings import Findings
from pipelines.doctor.storage import check_store
from serving.storage import main as storage
from tests.ceph import MISSING, Gateway, User, gateway
from tests.conftest import make_line
from tests.datasets import write_lines
from tests.store_content import names_if_whole, write_a_bundle

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"no S3 server: {', '.join(MISSING)} not installed (sh tests/debian-packages.sh)"
)
ROOT = Path(__file__).parents[2]
BIG = 20 << 20
"""Bytes of a file that goes in three parts."""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("ceph")) as running:
        client(running).make_bucket("team")
        yield running


@pytest.fixture(autouse=True)
def alone(s3: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """A store of the test's own."""
    return f"s3://team/{request.node.name.split('[')[0][5:45].strip('_')}"


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with one large file."""
    return write_a_bundle(tmp_path_factory.mktemp("big") / "big", weights=random.Random(1).randbytes(BIG)).path


def client(running: Gateway, user: User | None = None) -> Minio:
    who = user or running.owner
    host = running.endpoint.removeprefix("http://")
    return Minio(host, who.access_key, who.secret_key, secure=False, region="us-east-1")


def child(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-m", *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def flip_a_byte(s3: Gateway, store: str, key: str) -> None:
    name = f"{store.removeprefix('s3://team/')}/{key}"
    response = client(s3).get_object("team", name)
    data = bytearray(response.read())
    response.close()
    data[len(data) // 2] ^= 1
    client(s3)._put_object("team", name, bytes(data))


def test_lines_and_bundles_come_back_byte_for_byte(place: str, big: Path, tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "lines", [make_line(f"line {n}", n) for n in range(4)])
    store = open_store(place)
    for kind, folder in (("lines", lines.path), ("bundle", big)):
        told: list[tuple[int, int]] = []
        version = store.publish(kind, "ours", folder, on_progress=lambda *now, told=told: told.append(now))
        assert told[-1] == (version.num_bytes, version.num_bytes)
        assert content(store.fetch(kind, version.digest, tmp_path / "copies" / kind)) == content(folder)
        told.clear()
        assert store.publish(kind, "again", folder, on_progress=lambda *now, told=told: told.append(now))
        assert told == []
        assert [entry.digest for entry in store.history(kind, "again")] == [version.digest]
    with pytest.raises(MissingError, match="no lines named 'theirs'; there are again, ours"):
        store.resolve("lines", "theirs")


def test_shards_that_two_datasets_share_are_sent_once_and_a_difference_is_told(place: str, tmp_path: Path) -> None:
    store, rows = open_store(place), [make_line(f"line {n}", n) for n in range(9)]
    for name, order in (("a", rows), ("b", [*rows[:6], rows[7], make_line("new", 10)])):
        with LinesWriter(tmp_path / name, lines_per_shard=3) as writer:
            for line in order:
                writer.add(line)
    store.publish("lines", "a", tmp_path / "a")
    told: list[int] = []
    version = store.publish("lines", "b", tmp_path / "b", on_progress=lambda done, total: told.append(total))
    shared = {"lines/00000.parquet", "lines/00001.parquet"}
    assert told[-1] == sum(file.size for file in version.files if file.path not in shared)
    found = store.diff("lines", "a", "b")
    assert (found.came, found.went, found.changed, found.same) == (("line-10",), ("line-6", "line-8"), {}, 7)


def test_an_upload_killed_at_random_points_is_never_seen_by_halves_and_resumes(
    place: str, big: Path, tmp_path: Path
) -> None:
    old = open_store(place).publish("bundle", "ours", write_a_bundle(tmp_path / "old").path)
    rng, objects = random.Random(20), S3Objects(place)
    killed = 0
    for _ in range(8):  # each goes on where the one before was cut off
        request, delay_ms = rng.randrange(1, 13), rng.choice([-1, 0, 5, 20])
        process = child("tests.store_child", "publish", place, big, request, delay_ms)
        process.communicate(timeout=60)
        killed += process.returncode == -9
        seen = names_if_whole(objects)["ours"]
        assert seen[0] == old.digest
        assert len(seen) <= 2
    assert killed >= 5
    version = open_store(place).publish("bundle", "ours", big)
    assert names_if_whole(objects)["ours"] == [old.digest, version.digest]
    assert content(open_store(place).fetch("bundle", version.digest, tmp_path / "copy")) == content(big)


def test_parts_that_came_before_the_kill_are_not_sent_again(place: str, big: Path, s3: Gateway) -> None:
    whole, cut = f"{place}-whole", f"{place}-cut"
    told = json.loads(child("tests.store_child", "publish", whole, big).communicate(timeout=60)[0])
    (third,) = (number for number, url in enumerate(told["requests"], start=1) if "partNumber=3" in url)
    process = child("tests.store_child", "publish", cut, big, third, -1)
    process.communicate(timeout=60)
    assert process.returncode == -9
    again = json.loads(child("tests.store_child", "publish", cut, big).communicate(timeout=60)[0])
    assert ["partNumber=3" in url for url in again["requests"] if "partNumber" in url] == [True]
    assert again["sent"] < BIG // 3 < BIG < told["sent"]
    left = client(s3)._list_multipart_uploads("team", prefix=cut.removeprefix("s3://team/")).uploads
    assert not list(left)


def test_a_download_killed_halfway_leaves_no_folder_and_goes_on(place: str, big: Path, tmp_path: Path) -> None:
    version = open_store(place).publish("bundle", "ours", big)
    for num_bytes in (1, BIG // 2):
        process = child("tests.store_child", "fetch", place, tmp_path / "copy", num_bytes)
        process.communicate(timeout=60)
        assert process.returncode == -9
        assert not (tmp_path / "copy").exists()
    (staged,) = tmp_path.iterdir()
    had = sum(file.stat().st_size for file in staged.rglob("*") if file.is_file())
    assert BIG // 2 <= had < BIG
    told: list[int] = []
    open_store(place).fetch(
        "bundle", version.digest, tmp_path / "copy", on_progress=lambda done, _: told.append(done)
    )
    assert content(tmp_path / "copy") == content(big)
    assert told[0] >= BIG // 2  # what was there already
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_flipped_byte_is_found_wherever_it_is(
    place: str, big: Path, s3: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLFLOW_CACHE", str(tmp_path / "cache"))
    lines = write_lines(tmp_path / "lines", [make_line("a line", 1)])
    store = open_store(place)
    letters, ours = store.publish("lines", "letters", lines.path), store.publish("bundle", "ours", big)
    files = {file.path: file.sha256 for file in (*letters.files, *ours.files)}
    for path in ("lines/00000.parquet", WEIGHTS):
        flip_a_byte(s3, place, f"blobs/{files[path][:2]}/{files[path]}")
    with pytest.raises(AlteredError, match=f"{WEIGHTS}: the store's bytes differ"):
        store.fetch("bundle", ours.digest, tmp_path / "copy")
    with pytest.raises(AlteredError, match=r"lines/00000\.parquet: the store's bytes differ"):
        list(open_lines(letters.uri).lines())
    assert not (tmp_path / "copy").exists()
    store.publish("bundle", "ours", big, repair=True)
    assert content(store.fetch("bundle", ours.digest, tmp_path / "copy")) == content(big)
    flip_a_byte(s3, place, f"bundle/{ours.digest}/version.json")
    with pytest.raises(AlteredError, match=r"version.json: (altered|damaged)"):
        store.version("bundle", ours.digest)
    flip_a_byte(s3, place, "index.json")
    with pytest.raises(AlteredError, match=r"index.json: (altered|damaged)"):
        store.names("bundle")


def test_two_publishers_at_once_end_with_one_consistent_index(place: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom htr.versions import open_store\n"
        "for n in range(6):\n    open_store(sys.argv[1]).publish('bundle', f'{sys.argv[2]}-{n}', sys.argv[3])\n"
    )
    folders = {name: write_a_bundle(tmp_path / name, weights=name.encode()).path for name in ("ada", "bo")}
    processes = [
        subprocess.Popen([sys.executable, "-c", code, place, name, str(folder)])
        for name, folder in folders.items()
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    found = names_if_whole(S3Objects(place))
    assert sorted(found) == sorted(f"{name}-{n}" for name in folders for n in range(6))
    assert all(len(digests) == 1 for digests in found.values())
    stored = S3Objects(place).read("index.json")
    assert stored is not None
    assert len(Index.from_bytes(stored.data, "index.json").publications) == 12


@pytest.mark.parametrize("wrong", [{"AWS_SECRET_ACCESS_KEY": "hush-hush"}, {"AWS_ACCESS_KEY_ID": "HUSHHUSH"}])
def test_wrong_keys_are_refused_with_one_line_that_repeats_none(
    place: str,
    tmp_path: Path,
    wrong: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    bundle = write_a_bundle(tmp_path / "bundle").path
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    for command in (["versions", "bundle"], ["publish", str(bundle), "--name", "ours"]):
        assert main([*command, "--store", place]) == 2
        shown, told = capsys.readouterr()
        assert (shown, told.count("\n")) == ("", 1)
        assert "refuses the keys of the environment" in told
        for secret in ("hush", os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_ACCESS_KEY_ID"]):
            assert secret.lower() not in (told + caplog.text).lower()


def allow(s3: Gateway, rights: dict[str, list[str]], bucket: str = "team") -> None:
    """Allow users what they may do in a bucket."""
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam:::user/{name}"]},
            "Action": actions,
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        }
        for name, actions in rights.items()
    ]
    client(s3).set_bucket_policy(bucket, json.dumps({"Version": "2012-10-17", "Statement": statements}))


def test_the_rights_that_the_documentation_names_are_enough_to_publish(
    place: str, s3: Gateway, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = set(re.findall(r"`(s3:[A-Za-z]+)`", (ROOT / "docs" / "versions.md").read_text()))
    publishing = named - {"s3:DeleteObject"}  # for erasing alone
    assert (len(named), len(publishing)) == (7, 6)
    writer = s3.add_user("writer")
    allow(s3, {"writer": sorted(publishing)})
    for name, value in s3.environment(writer).items():
        monkeypatch.setenv(name, value)
    version = open_store(place).publish("bundle", "ours", big)
    assert open_store(place).names("bundle") == {"ours": version.digest}


def test_who_may_only_read_can_fetch_and_not_publish(
    place: str, s3: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_a_bundle(tmp_path / "bundle").path
    version = open_store(place).publish("bundle", "ours", bundle)
    reader = s3.add_user("reader")
    allow(s3, {"reader": ["s3:GetObject", "s3:ListBucket"]})
    for name, value in s3.environment(reader).items():
        monkeypatch.setenv(name, value)
    store = open_store(place)
    assert content(store.fetch("bundle", version.digest, tmp_path / "copy")) == content(bundle)
    assert store.names("bundle") == {"ours": version.digest}
    with pytest.raises(StoreError, match="may not write"):
        store.publish("bundle", "theirs", write_a_bundle(tmp_path / "other", weights=b"x").path)


def test_a_tenants_account_reaches_nothing_of_anothers_bucket_whatever_it_says_of_itself(
    s3: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = sorted(set(re.findall(r"`(s3:[A-Za-z]+)`", (ROOT / "docs" / "versions.md").read_text())))
    bundle = write_a_bundle(tmp_path / "bundle").path
    published, accounts = {}, {}
    for name in ("claims", "ward-7"):
        accounts[name] = s3.add_user(name)
        client(s3).make_bucket(f"house-{name}")
        allow(s3, {name: rights}, f"house-{name}")
        be(name, s3.environment(accounts[name]), monkeypatch)
        published[name] = open_store().publish("bundle", "ours", bundle)
        assert published[name].uri.startswith(f"quillflow+s3://house-{name}/store/{name}/bundle/")
    own = client(s3, accounts["claims"])
    theirs = f"store/ward-7/{blob_key(published['ward-7'].files[0].sha256)}"
    assert client(s3, accounts["ward-7"]).stat_object("house-ward-7", theirs).size
    attempts: list[Callable[[str], object]] = [
        lambda key: own.get_object("house-ward-7", key),
        lambda key: own.stat_object("house-ward-7", key),
        lambda key: own.remove_object("house-ward-7", key),
        lambda key: own.put_object("house-ward-7", key, io.BytesIO(b"x"), 1),
        lambda key: list(own.list_objects("house-ward-7", prefix=key)),
        lambda key: own._list_multipart_uploads("house-ward-7", prefix=key),
        lambda key: own.copy_object("house-claims", "store/claims/copy", CopySource("house-ward-7", key)),
        lambda key: own.set_bucket_policy("house-ward-7", "{}"),
    ]
    for attempt in attempts:
        codes = set()
        for key in (theirs, "store/ward-7/index.json", "store/ward-7/never"):
            with pytest.raises(S3Error) as refused:
                attempt(key)
            codes.add(refused.value.code)
        assert codes == {"AccessDenied"}
    assert own.list_buckets() == []
    be("ward-7", s3.environment(accounts["claims"]), monkeypatch)  # who lies about his name has not the keys
    for wanted in ("ours", "never"):
        with pytest.raises(StoreError, match="may not read"):
            open_store().find("bundle", wanted)
    with pytest.raises(StoreError, match="may not write"):
        open_store().publish("bundle", "ours", bundle)
    be("ward-7", s3.environment(accounts["ward-7"]), monkeypatch)
    assert list(open_store().check(deep=True)) == []


def be(tenant: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a process of a tenant."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("QUILLFLOW_TENANT", tenant)
    monkeypatch.setenv("QUILLFLOW_STORE", f"s3://house-{tenant}/store")


def test_keys_and_server_may_stand_in_the_profile_files(
    place: str, s3: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = f"aws_access_key_id = {s3.owner.access_key}\naws_secret_access_key = {s3.owner.secret_key}\n"
    (tmp_path / "credentials").write_text(f"[team]\n{keys}")
    (tmp_path / "config").write_text(f"[profile team]\nendpoint_url = {s3.endpoint}\n")
    for name in s3.environment():
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "team")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert open_store(place).names("lines") == {}
    with pytest.raises(StoreError, match="there is no bucket nobodys; make it"):
        open_store("s3://nobodys/a").names("lines")


def test_a_server_that_is_away_or_silent_is_told_in_time(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READ_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for name, reason in ((silent.getsockname()[1], "no answer within"), (1, "cannot be reached")):
            settings = s3_settings({**os.environ, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{name}"})
            began = time.monotonic()
            with pytest.raises(StoreError, match=reason) as refused:
                VersionStore(S3Objects(place, settings=settings)).names("lines")
            assert time.monotonic() - began < 20
            assert "\n" not in str(refused.value)


def test_a_checkpoint_comes_back_from_a_bucket_and_an_altered_one_does_not(
    s3: Gateway, place: str, tmp_path: Path
) -> None:
    store = CheckpointStore(address=place, key="k", names=("last.ckpt", "best.safetensors"))
    assert not store.bring(tmp_path / "empty")
    work = tmp_path / "work"
    work.mkdir()
    for number in range(2):
        (work / "last.ckpt").write_bytes(b"checkpoint %d" % number)
        store.send(work)
        (work / "best.safetensors").write_bytes(b"weights")
    store.send(work)
    assert store.bring(tmp_path / "other")
    assert content(tmp_path / "other") == {"last.ckpt": b"checkpoint 1", "best.safetensors": b"weights"}
    (name,) = [
        item.object_name.split("/", 1)[1]
        for item in client(s3).list_objects("team", prefix=place.removeprefix("s3://team/"), recursive=True)
        if item.size == len(b"weights")
    ]
    flip_a_byte(s3, place, name)
    with pytest.raises(AlteredError, match="not what was sent"):
        store.bring(tmp_path / "third")
    assert content(tmp_path / "third") == {}


def test_the_storage_initializer_fetches_what_was_told_and_serves_no_altered_or_foreign_bundle(
    s3: Gateway, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_a_bundle(tmp_path / "bundle")
    version = open_store(place).publish("bundle", "quillflow", bundle.path)
    uri = version.uri
    models = tmp_path / "models"
    models.mkdir()  # KServe mounts an empty volume
    assert storage([uri, str(models)]) == 0
    assert Bundle.open(models).digest == bundle.digest
    assert storage([uri, str(models)]) == 0, "a container that begins again"
    assert storage([f"{uri[:-64]}{'0' * 64}", str(tmp_path / "other")]) == 4
    weights = {file.path: file.sha256 for file in version.files}[WEIGHTS]
    flip_a_byte(s3, place, f"blobs/{weights[:2]}/{weights}")
    assert storage([uri, str(tmp_path / "third")]) == 5
    assert not (tmp_path / "third").exists() or content(tmp_path / "third") == {}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert storage([uri, str(tmp_path / "fourth")]) == 3
    assert "wrong" not in capsys.readouterr().err


def test_the_doctor_tries_the_rights_and_leaves_nothing_behind(
    s3: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_store(found := Findings(where="here"), "s3://team/examined")
    assert {check.name: check.state for check in found.checks} == {
        "store: clock": "ok", "store: answers": "ok", "store: rights": "ok", "store: conditions": "ok",
    }  # fmt: skip
    left = [item.object_name for item in client(s3).list_objects("team", prefix="examined/", recursive=True)]
    assert left == ["examined/store.json"]
    for name, value, told in (
        ("AWS_SECRET_ACCESS_KEY", "wrong", "refuses the keys"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "refused"),
    ):
        monkeypatch.setenv(name, value)
        check_store(found := Findings(where="here"), "s3://team/examined")
        (failed,) = [check for check in found.checks if check.state == "failed"]
        assert told in failed.said
    check_store(found := Findings(where="here"), "s3://nowhere/at-all")
    assert found.status == 1


def test_the_doctor_needs_no_right_to_remove_and_says_so(s3: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    other = s3.add_user("publisher")
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/publisher"]},
         "Action": ["s3:PutObject", "s3:GetObject", "s3:ListBucket"],
         "Resource": ["arn:aws:s3:::kept", "arn:aws:s3:::kept/*"]},
    ]}  # fmt: skip
    client(s3).make_bucket("kept")
    client(s3).set_bucket_policy("kept", json.dumps(policy))
    for name, value in s3.environment(other).items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        check_store(found := Findings(where="here"), "s3://kept/examined")
        assert {check.state for check in found.checks} == {"ok"}, found.checks
        (rights,) = [check for check in found.checks if check.name == "store: rights"]
        assert "not removed: examined/doctor/probe stays" in rights.said
    left = [item.object_name for item in client(s3).list_objects("kept", recursive=True)]
    assert left == ["examined/doctor/probe", "examined/store.json"]


def test_what_is_missing_altered_or_left_half_sent_is_found_in_a_bucket(
    s3: Gateway, place: str, tmp_path: Path
) -> None:
    version = open_store(place).publish("bundle", "ours", write_a_bundle(tmp_path / "bundle").path)
    prefix = place.removeprefix("s3://team/")
    assert list(open_store(place).check(deep=True)) == []
    client(s3)._create_multipart_upload("team", f"{prefix}/blobs/half", {})
    assert list(open_store(place).check()) == [], "somebody may be at it"
    tomorrow = VersionStore(S3Objects(place), now=lambda: datetime.now(UTC) + timedelta(days=2))
    assert [(one.kind, one.key) for one in tomorrow.check()] == [("abandoned", "blobs/half")]
    lost, altered = (blob_key(file.sha256) for file in version.files[:2])
    client(s3).remove_object("team", f"{prefix}/{lost}")
    flip_a_byte(s3, place, altered)
    found = {one.key: one.kind for one in open_store(place).check(deep=True)}
    assert found == {lost: "lost", altered: "damaged"}


def test_an_erased_version_is_gone_from_the_bucket_and_the_other_is_whole(
    s3: Gateway, place: str, tmp_path: Path
) -> None:
    store, prefix = open_store(place), place.removeprefix("s3://team/")
    a, b = (
        store.publish("bundle", name, write_a_bundle(tmp_path / name, weights=name.encode()).path) for name in "ab"
    )
    keys = {one.object_name for one in client(s3).list_objects("team", prefix=f"{prefix}/", recursive=True)}
    done = store.erase("bundle", a.digest)
    left = {one.object_name for one in client(s3).list_objects("team", prefix=f"{prefix}/", recursive=True)}
    assert (done.removed, done.shared, done.kept_by_bucket) == (2, 1, False)
    assert len(keys - left) == 3
    with pytest.raises(ErasedError, match="was erased on"):
        store.fetch("bundle", a.digest, tmp_path / "copy")
    store.fetch("bundle", b.digest, tmp_path / "copy")
    assert list(store.check(deep=True)) == []
    client(s3).make_bucket("keeping")
    client(s3).set_bucket_versioning("keeping", VersioningConfig("Enabled"))
    assert S3Objects("s3://keeping/x").keeps_removed()
