"""Characters and class ids."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htr.alphabet import Alphabet, normalise
from htr.direction import INVISIBLE, is_recoverable
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


def test_classes_stand_as_they_are_seen_and_texts_as_they_are_stored() -> None:
    text = "سلام (12)"
    alphabet = Alphabet.of_texts([text])
    ids = alphabet.encode(text)
    assert "".join(alphabet.characters[i - 1] for i in ids) == "(12) مالس"
    assert alphabet.decode(ids) == text
    order = alphabet.reading_order(ids)
    assert [alphabet.characters[ids[i] - 1] for i in order[:4]] == list("سلام")
    assert order == [8, 7, 6, 5, 4, 3, 1, 2, 0]


def test_an_alphabet_holds_the_brackets_that_are_seen() -> None:
    alphabet = Alphabet.of_texts(["ا < ب"])
    assert alphabet.characters == (" ", ">", "ا", "ب")
    assert alphabet.missing("ا < ب") == []
    assert alphabet.missing("ا > ب") == ["<"]
    with pytest.raises(DataError, match="outside the alphabet: \\['<'\\]"):
        alphabet.encode("ا > ب")


def test_marks_that_steer_the_direction_are_no_classes() -> None:
    alphabet = Alphabet.of_texts(["ab ا\u200f 1"])
    assert "\u200f" not in alphabet.characters
    assert alphabet.encode("ab\u200e") == alphabet.encode("ab")


@pytest.mark.parametrize("mark", sorted(INVISIBLE))
def test_marks_are_no_classes_among_left_to_right_texts_either(mark: str) -> None:
    text = f"ab 12{mark}"
    alphabet = Alphabet.of_texts([text])
    assert alphabet == Alphabet.of_texts(["ab 12"])
    assert alphabet.extended([text]) == alphabet
    assert alphabet.missing(text) == []
    assert alphabet.decode(alphabet.encode(text)) == "ab 12"
    assert not is_recoverable(text)  # a right reading lacks the mark


def test_an_older_alphabet_keeps_its_class_of_a_mark_and_its_readings() -> None:
    old = Alphabet("ab1\u200e")
    assert len(old) == len(old.extended(["ab\u200e"])) == 5
    assert old.decode([1, 4, 3]) == "a\u200e1"
    assert old.reading_order([1, 4, 3]) == [0, 1, 2]
    assert old.encode("a\u200e1") == [1, 3]  # it is not learnt any more


def test_left_to_right_readings_keep_their_order() -> None:
    latin, mixed = Alphabet("abc"), Alphabet("abcא")
    assert latin.reading_order([3, 1, 2]) == mixed.reading_order([3, 1, 2]) == [0, 1, 2]
    assert latin.decode([3, 1, 2]) == mixed.decode([3, 1, 2]) == "cab"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_vietnamese_letters_are_single_classes_however_they_come(form: str) -> None:
    text = "Nguyễn Thị Ngọc Ước ở đường Bưởi"
    alphabet = Alphabet.of_texts([unicodedata.normalize(form, text)])
    assert {"ễ", "ị", "ọ", "Ư", "ớ", "ở", "ư", "đ"} <= set(alphabet.characters)
    assert not any(map(unicodedata.combining, alphabet.characters))
    assert len(alphabet.encode(normalise(unicodedata.normalize(form, text)))) == len(text)


def test_a_mark_without_a_composed_form_is_a_class_of_its_own() -> None:
    alphabet = Alphabet.of_texts(["m\u0300 e\u0301"])
    assert alphabet.characters == (" ", "m", "é", "\u0300")
    assert alphabet.decode(alphabet.encode("m\u0300 é")) == "m\u0300 é"
