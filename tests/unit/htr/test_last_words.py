"""The last word on a line is the newest that stands, however lines were joined and words taken back."""

import random

import pytest

from htr.errors import DataError
from htr.last_words import LastWords
from tests.unit.htr.test_corrected_lines import made


def standing(groups: list[set[int]], withdrawn: set[int]) -> set[tuple[int, int]]:
    """Return the last word of each line and the line's first correction."""
    return {(max(group - withdrawn), min(group)) for group in groups if group - withdrawn}


def assert_knows(words: LastWords, groups: list[set[int]], withdrawn: set[int]) -> None:
    lasts, firsts = words.lines()
    expected = standing(groups, withdrawn)
    assert set(zip(lasts.tolist(), firsts.tolist(), strict=True)) == expected
    assert {number for number in range(len(words)) if words.is_last(number)} == {last for last, _ in expected}


@pytest.mark.parametrize("seed", range(6))
def test_words_taken_back_in_any_order_leave_the_newest_that_stands(seed: int) -> None:
    draw = random.Random(seed)
    words, groups, withdrawn = LastWords(), list[set[int]](), set[int]()
    names: list[set[str]] = []
    for number in range(150):
        image, line = f"image {draw.randrange(12)}", draw.choice(["", f"l{draw.randrange(12)}"])
        words.add(made(number, image=image.encode(), line=line))
        names.append({image, line} - {""})
        met = [group for group in groups if any(names[number] & names[other] for other in group)]
        groups = [group for group in groups if group not in met] + [{number}.union(*met)]
        for _ in range(draw.randrange(3)):
            lasts = [max(group - withdrawn) for group in groups if group - withdrawn]
            one = draw.choice(lasts) if lasts and draw.random() < 0.7 else draw.randrange(number + 1)
            words.withdraw(f"c{one}")
            withdrawn.add(one)
        assert_knows(words, groups, withdrawn)


def test_a_line_without_a_word_left_gets_one_by_the_next_correction() -> None:
    words = LastWords()
    for number in range(3):
        words.add(made(number, image=b"one"))
    for number in (2, 0, 1):
        words.withdraw(f"c{number}")
    assert_knows(words, [{0, 1, 2}], {0, 1, 2})
    words.add(made(3, image=b"one"))
    assert_knows(words, [{0, 1, 2, 3}], {0, 1, 2})
    words.withdraw("c3")
    assert_knows(words, [{0, 1, 2, 3}], {0, 1, 2, 3})


def test_a_withdrawal_of_what_was_never_stored_is_told() -> None:
    with pytest.raises(DataError, match="never stored"):
        LastWords().withdraw("c0")
