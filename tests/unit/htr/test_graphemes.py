"""What a reader takes for letters."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htr.graphemes import graphemes
from htr.metrics import count_errors

KSSA = "\u0915\u094d\u0937"  # one Devanagari conjunct: rule GB9c of UAX #29


@pytest.mark.parametrize(
    ("text", "clusters"),
    [
        ("", []),
        ("Zoë 12", ["Z", "o", "ë", " ", "1", "2"]),
        ("m\u0300a", ["m\u0300", "a"]),
        ("ب\u064e\u0651ل", ["ب\u064e\u0651", "ل"]),
        ("Việt", ["V", "i", "ệ", "t"]),
        (KSSA, [KSSA]),
        ("\u1112\u1161\u11ab\u1100\u1173", ["\u1112\u1161\u11ab", "\u1100\u1173"]),  # Hangul jamo
        ("a\u200db", ["a\u200d", "b"]),
        ("\U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea", ["\U0001f1eb\U0001f1f7", "\U0001f1e9\U0001f1ea"]),  # flags
    ],
)
def test_clusters_of_known_texts(text: str, clusters: list[str]) -> None:
    assert list(graphemes(text)) == clusters


@given(st.text(max_size=30))
def test_clusters_spell_the_text_and_none_begins_with_a_mark_but_the_first(text: str) -> None:
    found = graphemes(text)
    assert "".join(found) == text
    for before, cluster in pairwise(found):
        if unicodedata.category(cluster[0]) == "Mn":  # nothing to stand on
            assert unicodedata.category(before[-1]) in {"Cc", "Cf", "Zl", "Zp", "Cs", "Cn"}


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF)), st.text(alphabet=st.characters(max_codepoint=0x2FF)))
def test_plain_latin_counts_the_same_in_both_ways(truth: str, reading: str) -> None:
    if "\r" not in truth + reading:
        errors = count_errors(truth, reading)
        assert (errors.grapheme_edits, errors.graphemes) == (errors.edits, errors.characters)
        assert errors.grapheme_cer == errors.cer


def test_a_letter_with_two_wrong_marks_is_one_error_in_graphemes_and_two_in_code_points() -> None:
    errors = count_errors("ب\u064e\u0651ل", "بل")
    assert (errors.edits, errors.characters) == (2, 4)
    assert (errors.grapheme_edits, errors.graphemes) == (1, 2)
    # One side clustered, the other not: the letters that agree are still seen to agree.
    other = count_errors("abc", "ab\u0300c")
    assert (other.edits, other.grapheme_edits, other.graphemes) == (1, 1, 3)
    assert (errors + other).grapheme_cer == pytest.approx(2 / 5)
