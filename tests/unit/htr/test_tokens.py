from pathlib import Path

import pytest

from htr.errors import SettingsError
from htr.tokens import EVERYBODY, Token, read_token

DESK, ARCHIVE = "a" * 20, "b" * 20
FLAG, VARIABLE = "--token-file", "QUILLFLOW_TOKEN"


def read(text: str) -> Token | None:
    return read_token(None, {VARIABLE: text}, flag=FLAG, variable=VARIABLE)


def test_each_client_is_known_by_its_own_token() -> None:
    token = read(f"desk: {DESK}\n\narchive: {ARCHIVE}\n")
    assert token is not None
    assert [token.client(f"Bearer {sent}") for sent in (DESK, ARCHIVE, DESK + "a", "")] == [
        "desk", "archive", None, None,
    ]  # fmt: skip
    assert token.client(f"Basic {DESK}") is None
    assert token.authorization == f"Bearer {DESK}"
    assert DESK not in repr(token)
    assert ARCHIVE not in repr(token)


def test_one_word_is_everybodys() -> None:
    token = read(DESK)
    assert token is not None
    assert token.client(f"bearer {DESK}") == EVERYBODY


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"desk: {DESK}\ndesk: {ARCHIVE}", "same name"),
        (f"desk: {DESK}\narchive: {DESK}", "same name or the same token"),
        (f"{DESK}\narchive: {ARCHIVE}", "several tokens"),
        (f"de sk: {DESK}", "a client's name"),
        ("desk: short", "at least 16"),
    ],
)
def test_tokens_that_tell_nobody_apart_are_refused_and_not_shown(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(SettingsError, match=said) as refused:
        read_token(tmp_path / "token", {}, flag=FLAG, variable=VARIABLE)
    assert DESK not in str(refused.value)
    assert ARCHIVE not in str(refused.value)
