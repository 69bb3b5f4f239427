"""One line, one reading: whatever else is read, in whatever order, on however many threads."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htr.bundle import Bundle
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Reading, Recogniser
from tests.conftest import line_png

TEXTS = (
    "a",
    "Le 12 mars 1915",
    "nous avons marché toute la nuit dans la boue et le froid",
    "Chère maman,",
    "DUPONT",
    "il pleut encore, et l'on attend les ordres",
)
IMAGES = tuple(line_png(text, seed=number, height=40 + 4 * number) for number, text in enumerate(TEXTS))


@cache
def reader(num_threads: int) -> Recogniser:
    """Return the model that ships, its beam search included."""
    return Recogniser(Bundle.open(resolve(PRETRAINED)), num_threads=num_threads)


@cache
def alone(number: int) -> Reading:
    """Return what a reader that was asked for nothing else reads on one thread."""
    return Recogniser(Bundle.open(resolve(PRETRAINED))).read([IMAGES[number]], characters=True)[0]


def assert_same(found: Reading, wanted: Reading) -> None:
    assert found.text == wanted.text
    assert found.confidence == pytest.approx(wanted.confidence, abs=1e-3)
    places = [[(c.character, c.left, c.right) for c in reading.characters or ()] for reading in (found, wanted)]
    assert places[0] == places[1]


@settings(max_examples=12, deadline=None)
@given(
    numbers=st.lists(st.integers(0, len(IMAGES) - 1), min_size=1, max_size=8),
    num_threads=st.sampled_from([1, 2, 3]),
)
def test_a_line_reads_the_same_in_any_company_on_any_number_of_threads(
    numbers: Sequence[int], num_threads: int
) -> None:
    readings = reader(num_threads).read((IMAGES[n] for n in numbers), characters=True)
    for number, found in zip(numbers, readings, strict=True):
        assert_same(found, alone(number))


def test_readers_side_by_side_do_not_disturb_each_other() -> None:
    numbers = [n % len(IMAGES) for n in range(24)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: reader(2).read([IMAGES[n]], characters=True)[0], numbers))
    for number, reading in zip(numbers, found, strict=True):
        assert_same(reading, alone(number))
