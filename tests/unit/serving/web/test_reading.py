"""What lies on the desk, and how it changes."""

from htr.pages.reading import Word
from serving.web.reading import Letter, Work, letters_of
from tests.unit.serving.web.desks import box, seen_line, work_with


def test_marks_belong_to_the_letter_before_and_take_the_lower_confidence() -> None:
    found = letters_of("e\u0301a", [("e", 0.9), ("\u0301", 0.3), ("a", 1.0)])
    assert found == (Letter(text="e\u0301", confidence=0.3), Letter(text="a", confidence=1.0))


def test_characters_of_another_text_are_not_shown() -> None:
    assert letters_of("abc", [("a", 1.0), ("b", 1.0)]) == ()


def test_one_goes_no_further_than_the_first_and_the_last_line() -> None:
    work = work_with(seen_line("one"), seen_line("two"))
    assert [work.looking_at(at).at for at in (-3, 0, 1, 9)] == [0, 0, 1, 1]
    assert Work().looking_at(4).line is None
    assert work.turned_to(7).sheet == 0


def test_what_was_sent_is_remembered_and_the_next_line_looked_at() -> None:
    work = work_with(seen_line("one"), seen_line("two"))
    after = work.with_sent("uno").with_sent("dos")
    assert (after.said(0, 0), after.said(0, 1), after.at) == ("uno", "dos", 1)
    assert work.said(0, 0) == "one"


def test_files_to_take_away_say_what_was_sent_with_words_where_they_stood() -> None:
    work = work_with(seen_line("one two"), seen_line("three")).with_sent("ono two").with_sent("a b c")
    first, second = work.page_reading(0).lines
    assert (first.text, second.text) == ("ono two", "a b c")
    assert first.words == (
        Word(text="ono", polygon=box(0, 10, 15, 40)),
        Word(text="two", polygon=box(20, 10, 35, 40)),
    )
    assert [word.text for word in second.words] == ["a", "b", "c"]
    assert [word.polygon[0] for word in second.words] == [(0, 10), (6, 10), (12, 10)]
    assert second.words[-1].polygon[1:3] == ((15, 10), (15, 40))
    assert (first.confidence, work_with(seen_line("one")).page_reading(0).lines[0].confidence) == (1.0, 0.5)
