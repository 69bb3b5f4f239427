from pathlib import Path

import pytest

from htr.errors import SettingsError
from serving.access import TOKEN_VARIABLE, Token, check_exposure, find_token, is_foreign, is_loopback

SECRET = "correct-horse-battery-staple"  # noqa: S105


def test_a_token_is_taken_from_the_file_or_else_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    environment = {TOKEN_VARIABLE: "another-token-of-some-length"}
    from_file, from_environment = find_token(file, environment), find_token(None, environment)
    assert from_file is not None
    assert from_environment is not None
    assert from_file.admits(f"Bearer {SECRET}")
    assert not from_environment.admits(f"Bearer {SECRET}")
    assert find_token(None, {}) is None


@pytest.mark.parametrize("text", ["", "short", "two words of enough length", "ä" * 20])
def test_a_token_that_protects_nothing_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(SettingsError, match="--token-file") as refused:
        find_token(tmp_path / "token", {})
    assert not text or text not in str(refused.value)
    with pytest.raises(SettingsError, match=TOKEN_VARIABLE):
        find_token(None, {TOKEN_VARIABLE: text})


def test_a_token_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        find_token(tmp_path / "token", {})


@pytest.mark.parametrize(
    "sent",
    [None, "", SECRET, f"Basic {SECRET}", "Bearer", "Bearer x", f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}"],
)
def test_only_the_whole_token_admits(sent: str | None) -> None:
    assert not Token(SECRET.encode()).admits(sent)
    assert Token(SECRET.encode()).admits(f"bearer {SECRET}")


def test_a_token_does_not_show_itself() -> None:
    assert SECRET not in repr(Token(SECRET.encode()))


def test_a_network_address_wants_a_token_or_a_plain_word() -> None:
    token = Token(SECRET.encode())
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        assert is_loopback(host)
        check_exposure(host, None, no_token=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):  # noqa: S104
        with pytest.raises(SettingsError, match="--token-file"):
            check_exposure(host, None, no_token=False)
        check_exposure(host, token, no_token=False)
        check_exposure(host, None, no_token=True)


def test_a_page_is_foreign_unless_it_came_from_here() -> None:
    assert not is_foreign({"host": "here:8080"})
    assert not is_foreign({"host": "here:8080", "origin": "http://HERE:8080"})
    for origin in ("http://here", "http://there:8080", "null", ""):
        assert is_foreign({"host": "here:8080", "origin": origin})
