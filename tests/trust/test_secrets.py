"""Keys and passwords in what git keeps, looked for by a tool that knows them; too slow for every run of tests."""

import os
from pathlib import Path

import pytest

from tests.servers import ROOT
from tests.trust.test_supply_chain import tracked

pytestmark = pytest.mark.skipif(
    not os.environ.get("QUILLFLOW_TRUST"), reason="looked for by make trust: QUILLFLOW_TRUST=1"
)
NOT_LOOKED_FOR = {"Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector", "IPPublicDetector"}
"""Of the tool's detectors: digests, locks and words are full of what these find."""
WITH_USER_INFO = {
    "tests/unit/htr/commands/test_versions.py", "tests/unit/htr/versions/test_addresses.py",
    "tests/unit/monitoring/governor/test_addresses.py", "tests/unit/pipelines/test_fsck.py",
}  # fmt: skip
"""Tests that a password in an address is not repeated: their passwords are invented."""


def test_a_scanner_of_secrets_finds_none() -> None:
    """By detect-secrets, which knows the keys of some twenty services; 12 s of processor time"""
    from detect_secrets import SecretsCollection
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.settings import transient_settings

    names = {one.__name__ for one in get_mapping_from_secret_type_to_class().values()}
    assert names > NOT_LOOKED_FOR
    found, files = SecretsCollection(), tracked()
    with transient_settings({"plugins_used": [{"name": name} for name in sorted(names - NOT_LOOKED_FOR)]}):
        for file in files:
            found.scan_file(str(ROOT / file))
    told = {(str(Path(file).relative_to(ROOT)), secret.type) for file, secret in found}
    assert told == {(file, "Basic Auth Credentials") for file in WITH_USER_INFO}
