"""Addresses of stores and versions, and where keys come from."""

import logging
from pathlib import Path

import pytest

from htr.errors import SettingsError
from htr.versions import is_address, parse_version_uri, store_uri, version_uri
from htr.versions.credentials import s3_settings

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("given", "one_spelling"),
    [
        ("s3://team", "s3://team"),
        ("s3://team/", "s3://team"),
        ("s3://team/a/b/", "s3://team/a/b"),
        ("file:///data/store", "file:///data/store"),
        ("/data/my store", "file:///data/my%20store"),
        (Path("/data/store"), "file:///data/store"),
    ],
)
def test_a_store_has_one_spelling(given: str | Path, one_spelling: str) -> None:
    assert store_uri(given) == one_spelling
    assert store_uri(one_spelling) == one_spelling
    uri = version_uri(given, "bundle", f"sha256:{DIGEST}")
    assert uri == f"quillflow+{one_spelling}/bundle/{DIGEST}"
    found = parse_version_uri(uri)
    assert (found.store, found.kind, found.digest, found.name) == (one_spelling, "bundle", DIGEST, "")
    assert is_address(uri)


def test_a_name_may_stand_for_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parse_version_uri("quillflow+s3://team/a/lines/letters")
    assert (found.store, found.kind, found.digest, found.name) == ("s3://team/a", "lines", "", "letters")
    monkeypatch.setenv("QUILLFLOW_STORE", "s3://team/a")
    assert parse_version_uri("store:letters", "lines") == found
    monkeypatch.delenv("QUILLFLOW_STORE")
    with pytest.raises(SettingsError, match="set QUILLFLOW_STORE"):
        parse_version_uri("store:letters", "lines")
    assert not is_address("letters")
    with pytest.raises(SettingsError, match="lines is wanted"):
        parse_version_uri("quillflow+s3://team/a/bundle/letters", "lines")


@pytest.mark.parametrize(
    "address",
    [
        "s3://", "s3://Team", "s3://team/../other", "s3://team/a b", "s3://team/a?versionId=1", "s3://team/a//b",
        "gs://team/a", "file://host/data", "https://team.example/a", "s3://[team/a",
    ],
)  # fmt: skip
def test_what_is_no_store_is_refused(address: str) -> None:
    with pytest.raises(SettingsError):
        store_uri(address)
    with pytest.raises(SettingsError):
        parse_version_uri(f"quillflow+{address}/lines/letters")


@pytest.mark.parametrize(
    "uri",
    ["quillflow+s3://team/a", f"quillflow+s3://team/models/{DIGEST}", "s3://team/lines/a", "quillflow+", "x"],
)
def test_what_is_no_version_is_refused(uri: str) -> None:
    with pytest.raises(SettingsError):
        parse_version_uri(uri)


@pytest.mark.parametrize(
    "address",
    [
        "s3://AKIA:hush@team/a",
        "s3://hush@team/a",
        "file://me:hush@host/data",
        "quillflow+s3://AKIA:hush@team/lines/a",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(SettingsError, match="secret") as refused:
        parse_version_uri(address) if is_address(address) else store_uri(address)
    assert "hush" not in str(refused.value)
    assert "AKIA" not in str(refused.value)


def files(folder: Path, *, credentials: str = "", config: str = "") -> dict[str, str]:
    """Write profile files; return the variables that name them."""
    (folder / "credentials").write_text(credentials)
    (folder / "config").write_text(config)
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "HOME": str(folder),
    }


CREDENTIALS = """
[default]
aws_access_key_id = file-id
aws_secret_access_key = file%secret
[team]
aws_access_key_id = team-id
aws_secret_access_key = team-secret
aws_session_token = team-token
"""
CONFIG = """
[default]
region = eu-west-1
endpoint_url = http://localhost:9000
[profile team]
services = ours
endpoint_url = http://localhost:1
[services ours]
s3 =
    endpoint_url = https://s3.example:8443/
"""


def test_the_environment_comes_before_the_profile_files(tmp_path: Path) -> None:
    place = files(tmp_path, credentials=CREDENTIALS, config=CONFIG)
    found = s3_settings(place)
    assert (found.access_key, found.secret_key, found.region) == ("file-id", "file%secret", "eu-west-1")
    assert found.endpoint == "http://localhost:9000"
    team = s3_settings({**place, "AWS_PROFILE": "team"})
    assert (team.access_key, team.session_token, team.region) == ("team-id", "team-token", "us-east-1")
    assert team.endpoint == "https://s3.example:8443"
    own = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": "http://[::1]:7480"}
    given = s3_settings({**place, **own})
    assert (given.access_key, given.secret_key, given.session_token) == ("id", "secret", "")
    assert given.endpoint == "http://[::1]:7480"
    assert s3_settings({**place, **own, "AWS_ENDPOINT_URL_S3": "http://b:1"}).endpoint == "http://b:1"


def test_without_a_server_it_is_amazon_and_without_keys_it_is_refused(tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert s3_settings({**files(tmp_path), **keys}).endpoint == "https://s3.amazonaws.com"
    with pytest.raises(SettingsError, match="no keys for S3: set AWS_ACCESS_KEY_ID"):
        s3_settings(files(tmp_path))
    with pytest.raises(SettingsError, match="half of the keys"):
        s3_settings({**files(tmp_path), "AWS_ACCESS_KEY_ID": "id"})


def test_no_message_and_no_description_holds_a_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = {
        "AWS_ACCESS_KEY_ID": "hush-id",
        "AWS_SECRET_ACCESS_KEY": "hush-secret",
        "AWS_SESSION_TOKEN": "hush-token",
    }
    told = [repr(s3_settings({**files(tmp_path), **keys}))]
    for environment in (
        {**files(tmp_path), **keys, "AWS_ENDPOINT_URL": "http://me:hush@localhost"},
        {**files(tmp_path), **keys, "AWS_ENDPOINT_URL": "ftp://hush"},
        {**files(tmp_path), **keys, "AWS_ENDPOINT_URL": "http://localhost/hush"},
        {**files(tmp_path), **keys, "AWS_ENDPOINT_URL": "http://localhost:hush"},
        files(tmp_path, credentials="aws_secret_access_key = hush\n"),
        files(tmp_path, credentials="[default\naws_secret_access_key = hush\n"),
    ):
        with pytest.raises(SettingsError) as refused:
            s3_settings(environment)
        told.append(str(refused.value))
    assert not any("hush" in one for one in [*told, caplog.text])
