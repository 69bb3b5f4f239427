"""Characters and class ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htr.alphabet import Alphabet, normalise
from htr.errors import DataError


@given(st.text(alphabet="abc é", min_size=1))
def test_a_text_survives_encoding_and_decoding(text: str) -> None:
    alphabet = Alphabet.of_texts([text])
    assert alphabet.decode(alphabet.encode(normalise(text))) == normalise(text)


def test_class_zero_stays_free_for_the_blank() -> None:
    assert Alphabet("ab").encode("ab") == [1, 2]
    assert len(Alphabet("ab")) == 3


def test_an_unknown_character_is_named() -> None:
    with pytest.raises(DataError, match="'x'"):
        Alphabet("ab").encode("axb")


def test_an_extended_alphabet_keeps_the_known_class_ids() -> None:
    old = Alphabet("bd")
    new = old.extended(["abcd"])
    assert new.characters == ("b", "d", "a", "c")
    assert new.encode("bd") == old.encode("bd")


def test_a_character_may_not_occur_twice() -> None:
    with pytest.raises(ValueError, match="once"):
        Alphabet("aa")


def test_normalising_composes_and_collapses_white_space() -> None:
    assert normalise("  e\u0301te\u0301 \t fini\n") == "été fini"
