"""What comes with us, and what must not: licences of dependencies, secrets in files."""

import re
import subprocess

import pytest

from tests.servers import ROOT
from tests.trust.licences import is_refused, licence_of, locked

SECRETS = re.compile(
    rb"-----BEGIN (?:EC |RSA |OPENSSH |ENCRYPTED )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}"
    rb"|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[baprs]-[A-Za-z0-9-]{20}|\bhf_[A-Za-z]{34}\b"
    rb"|\bglpat-[A-Za-z0-9_-]{20}\b|\bpypi-[A-Za-z0-9_-]{60}|://[^\s/:@{}<>]+:[^\s/:@{}<>$]{12,}@"
)
KNOWN: dict[str, str] = {}
"""File -> why what looks like a secret there is none."""


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git here: a secret can only be looked for in what is kept by it")
    return listed.stdout.splitlines()


def test_every_dependency_says_its_licence_and_none_binds_who_builds_on_us() -> None:
    found = {name: licence for name in locked() if (licence := licence_of(name)) is not None}
    assert len(found) > 200
    assert {name: licence for name, licence in found.items() if is_refused(licence)} == {}


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "GNU Affero General Public License v3", "AGPLv3", "not said"])
def test_licences_that_bind_are_refused(licence: str) -> None:
    assert is_refused(licence)


@pytest.mark.parametrize(
    "licence", ["MIT", "Apache-2.0", "LGPL-3.0-only", "GNU Library or Lesser General Public License"]
)
def test_licences_that_do_not_are_taken(licence: str) -> None:
    assert not is_refused(licence)


def test_no_file_holds_a_secret() -> None:
    found = [name for name in tracked() if (ROOT / name).is_file() and SECRETS.search((ROOT / name).read_bytes())]
    assert [name for name in found if name not in KNOWN] == []


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PRIVATE " + "KEY-----\n" + "A" * 64,
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a" * 36,
        "http://user:" + "correcthorsebattery@host",
    ],
)
def test_the_search_for_secrets_finds(secret: str) -> None:
    assert SECRETS.search(secret.encode())
