from pathlib import Path

import pytest

from monitoring.__main__ import main
from monitoring.commands_governor import TOKEN_VARIABLE
from monitoring.governor.journal import Journal

LOCAL = ["--local-root", "root", "--port", "0"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*LOCAL, "--host", "0.0.0.0"], "--host 0.0.0.0: everybody who reaches this address could ask"),  # noqa: S104
        (["--kfp-host", "http://127.0.0.1:9"], "--kfp-host needs --package"),
        (
            ["--kfp-host", "http://127.0.0.1:9", "--package", "no.yaml", "--tracking-uri", "x"],
            "no.yaml: not a compiled pipeline",
        ),
        ([*LOCAL, "--policy", "no.toml"], "no.toml: no policy can be read there"),
        ([*LOCAL, "--token-file", "no"], "--token-file no: cannot be read"),
        ([*LOCAL, "--tls-cert", "a.pem"], "--tls-cert and --tls-key go together"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_before_anything_is_decided(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert main(["serve-governor", "--state", "state", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1
    assert not (tmp_path / "state").exists()


def test_a_token_that_is_too_short_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "short")
    assert main(["serve-governor", "--state", str(tmp_path / "state"), *LOCAL]) == 2
    assert "expected one word of at least 16 ASCII characters" in capsys.readouterr().err


def test_a_second_governor_on_the_same_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal(tmp_path).alone():
        assert main(["serve-governor", "--state", str(tmp_path), *LOCAL]) == 2
    assert "another governor is at work on it; stop it first" in capsys.readouterr().err
