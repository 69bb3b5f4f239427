"""The short run: every file of the corpus, then as many broken ones as a second allows, the same in each run."""

import random
import time
from itertools import islice

import pytest

from tests.fuzz.mutations import mutants
from tests.fuzz.targets import CORPUS, TARGETS

SECONDS = 0.8
"""Of new files for each target."""
AT_LEAST = 5


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", TARGETS)
def test_no_file_breaks_a_promise(name: str) -> None:
    target = TARGETS[name]
    for data in target.seeds:
        target.run(data)
    until = time.monotonic() + SECONDS
    for number, data in enumerate(mutants(target.seeds, random.Random(name))):
        if number >= AT_LEAST and time.monotonic() > until:
            break
        target.run(data)


def test_mutants_are_the_same_in_every_run_and_differ_from_what_they_came_from() -> None:
    seeds = [b"one two three", b"four"]
    first = list(islice(mutants(seeds, random.Random(3)), 200))
    assert first == list(islice(mutants(seeds, random.Random(3)), 200))
    assert len(set(first) - set(seeds)) > 100


def test_every_folder_of_the_corpus_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
