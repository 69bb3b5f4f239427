"""Logical and visual order: what a right-to-left line looks like, and what it is."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from bidi import get_display
from hypothesis import given, settings
from hypothesis import strategies as st

from htr.direction import INVISIBLE, MAX_LENGTH, is_recoverable, is_right_to_left, logical_order, visual_order
from htr.errors import DataError

ALEF, BET, GIMEL = "אבג"
SALAM = "سلام"
FATHA, SHADDA = "\u064e", "\u0651"

arabic_words = st.text(alphabet="ابتجدرسعفكلمنهوي", min_size=1, max_size=6)
latin_words = st.text(alphabet="abcdXY", min_size=1, max_size=5)
numbers = st.one_of(
    st.integers(0, 99_999).map(str),
    st.integers(0, 9_999).map(lambda n: str(n).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))),
    st.tuples(st.integers(1, 28), st.integers(1, 12), st.integers(1900, 2030)).map(
        lambda d: "/".join(map(str, d))
    ),
    st.tuples(st.integers(1, 28), st.integers(1, 12)).map(lambda d: "-".join(map(str, d))),
)
remarks = st.tuples(arabic_words, arabic_words).map(lambda pair: f"({pair[0]} {pair[1]})")


def lines_of(*words: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.one_of(arabic_words, *words), min_size=1, max_size=7).map(" ".join)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("abc 12", "abc 12"),
        (ALEF + BET + GIMEL, GIMEL + BET + ALEF),
        (f"{ALEF}{BET} 123", f"123 {BET}{ALEF}"),
        (f"{SALAM} 12-34", f"34-12 {SALAM[::-1]}"),  # after Arabic letters a hyphen joins no number
        (f"{ALEF}{BET} 12-34", f"12-34 {BET}{ALEF}"),
        (f"abc {ALEF}{BET} de", f"abc {BET}{ALEF} de"),
        (f"{ALEF}{BET} abc", f"abc {BET}{ALEF}"),
        (f"{ALEF} ({BET})", f"({BET}) {ALEF}"),  # what opens on the right looks like what closes on the left
        (f"{ALEF} (ab)", f"(ab) {ALEF}"),
        (f"{ALEF} <3", f"3> {ALEF}"),
        (f"ب{FATHA}{SHADDA}ل", f"لب{FATHA}{SHADDA}"),  # marks follow their letter
    ],
)
def test_a_stored_text_and_how_it_looks(stored: str, shown: str) -> None:
    assert visual_order(stored).text == shown
    assert logical_order(shown).text == stored


@given(lines_of(numbers, remarks))
def test_arabic_lines_with_numbers_dates_and_brackets_come_back(text: str) -> None:
    assert logical_order(visual_order(text).text).text == text
    assert is_recoverable(text)


@given(lines_of(numbers, remarks, latin_words))
def test_a_mixed_line_comes_back_or_is_reported_and_looks_the_same(text: str) -> None:
    shown = visual_order(text).text
    back = logical_order(shown).text
    assert (back == text) == is_recoverable(text)
    assert visual_order(back).text == shown  # another text that would be written in the very same way


anything = st.text(alphabet="abאבسل12٣٤ .,-/+%()[]<>«»:'\u064e\u0301", max_size=20)


@settings(max_examples=300)
@given(anything)
def test_the_order_is_the_librarys_but_for_mirrors_and_marks(text: str) -> None:
    ordered = visual_order(text)
    assert sorted(ordered.positions) == list(range(len(text)))
    if not any(unicodedata.bidirectional(c) == "NSM" for c in text):
        assert "".join(text[i] for i in ordered.positions) == get_display(text)
    for position, character in zip(ordered.positions, ordered.text, strict=True):
        assert character == text[position] or unicodedata.mirrored(character)


@given(anything)
def test_whatever_was_read_is_turned_back_without_losing_a_character(shown: str) -> None:
    back = logical_order(shown)
    assert sorted(back.positions) == list(range(len(shown)))
    assert len(back.text) == len(shown)


@given(st.text(alphabet="abc é12 .,()-", max_size=20))
def test_left_to_right_texts_stay_as_they_are(text: str) -> None:
    assert visual_order(text).text == text
    assert is_recoverable(text)


def test_a_number_beside_a_foreign_word_is_reported() -> None:
    # Both look alike on paper: only one of them can come back.
    texts = [f"{SALAM} 12 abc", f"{SALAM} abc 12"]
    assert len({visual_order(text).text for text in texts}) == 1
    assert [is_recoverable(text) for text in texts] == [True, False]


def test_invisible_marks_steer_the_order_and_are_dropped() -> None:
    text = f"abc {ALEF}\u200f 12"
    assert visual_order(text).text == f"abc 12 {ALEF}"
    assert not INVISIBLE & set(visual_order(text).text)
    assert not is_recoverable(text)
    assert all(unicodedata.category(c) == "Cf" for c in INVISIBLE)


def test_characters_that_number_others_may_occur_themselves() -> None:
    text = f"{ALEF}\U000e0041\ufffc{BET}"
    assert visual_order(text).text == text[::-1]
    assert logical_order(visual_order(text).text).text == text


def test_right_to_left_characters() -> None:
    assert all(map(is_right_to_left, "אسﺏ٣\u200f"))
    assert not any(map(is_right_to_left, "aé1α-(\u0301ệ"))


def test_a_text_beyond_any_line_is_refused() -> None:
    with pytest.raises(DataError, match="longer than"):
        visual_order(ALEF * (MAX_LENGTH + 1))
    assert visual_order(ALEF * 9500 + BET).text == BET + ALEF * 9500


def test_a_left_to_right_alphabet_never_loads_the_algorithm() -> None:
    program = (
        "import sys; from htr.alphabet import Alphabet; a = Alphabet.of_texts(['Zoë, 12 (Ünal) Ωά Việt']); "
        "assert a.decode(a.encode('Ünal (12)')) == 'Ünal (12)'; assert not a.missing('12'); "
        "assert 'bidi' not in sys.modules; "
        "b = a.extended(['\\u05d0']); b.encode('\\u05d0 1'); assert 'bidi' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
