"""Known words."""

from pathlib import Path

import pytest

from htr.errors import BundleError
from htr.lexicon import Lexicon, words


def test_words_are_runs_of_letters_with_their_marks() -> None:
    assert words("l'an 1847, Zoë dit: « b\u0323ien »") == ["l", "an", "Zoë", "dit", "b\u0323ien"]


def test_case_makes_no_other_word_and_rare_words_can_be_left_out() -> None:
    lexicon = Lexicon.of_texts(["Paris est grand", "paris dort"], min_count=2)
    assert lexicon.words == {"paris"}
    assert "PARIS" in lexicon
    assert "dort" not in lexicon


def test_a_saved_lexicon_is_the_same(tmp_path: Path) -> None:
    lexicon = Lexicon.of_texts(["Été à Łódź"])
    (tmp_path / "lexicon.txt").write_bytes(lexicon.to_bytes())
    assert Lexicon.load(tmp_path / "lexicon.txt").words == lexicon.words
    (tmp_path / "lexicon.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BundleError, match="list of words"):
        Lexicon.load(tmp_path / "lexicon.txt")
