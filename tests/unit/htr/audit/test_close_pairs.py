"""Close hashes are found without comparing each with each: hardly any is missed, and none named that is not."""

from dataclasses import replace

import numpy as np
import pytest

from htr.audit.close_pairs import MAX_CANDIDATES, MAX_DISTANCE, close_pairs
from htr.audit.fingerprints import NUM_BITS, NUM_WORDS
from htr.audit.ledger import Hashes, Ledger, groups_of


def ledger(bits: Hashes, aspect: float = 8.0) -> Ledger:
    hashes = np.arange(1, len(bits) + 1, dtype=np.uint64)
    return Ledger(
        pixels=hashes,
        bits=bits,
        aspect=np.full(len(bits), aspect, np.float32),
        text=hashes,
        writer=hashes,
        page=hashes,
        written=hashes,
        split=np.zeros(len(bits), np.uint8),
    )


def hashes(count: int, rng: np.random.Generator) -> Hashes:
    """Return hashes with as many bits set as those of lines have."""
    return packed(rng.random((count, NUM_BITS)) < 0.26)


def packed(bits: np.ndarray) -> Hashes:
    return np.packbits(bits, axis=1).view(np.uint64).reshape(-1, NUM_WORDS)


def flipped(bits: Hashes, count: int, rng: np.random.Generator) -> Hashes:
    unpacked = np.unpackbits(bits.view(np.uint8), axis=1)
    for row in unpacked:
        row[rng.choice(NUM_BITS, count, replace=False)] ^= 1
    return packed(unpacked)


@pytest.mark.parametrize(("distance", "least"), [(6, 1.0), (33, 0.99), (66, 0.85)])
def test_copies_are_found_at_the_distances_that_copies_have(distance: int, least: float) -> None:
    rng = np.random.default_rng(7)
    originals = hashes(5000, rng)
    copies = flipped(originals[:400], distance, rng)
    pairs = close_pairs(ledger(np.concatenate([originals, copies])), np.arange(5400))
    found = set(zip(pairs.one.tolist(), pairs.two.tolist(), strict=True))
    assert len(found & {(n, 5000 + n) for n in range(400)}) >= least * 400


def test_no_pair_is_named_that_is_not_close() -> None:
    rng = np.random.default_rng(8)
    bits = hashes(3000, rng)
    bits = np.concatenate([bits, flipped(bits, 90, rng)])
    pairs = close_pairs(ledger(bits), np.arange(len(bits)))
    distances = np.bitwise_count(bits[pairs.one] ^ bits[pairs.two]).sum(axis=1)
    assert (distances <= MAX_DISTANCE).all()
    assert (pairs.one < pairs.two).all()


def test_lines_of_another_shape_are_not_compared() -> None:
    rng = np.random.default_rng(9)
    bits = np.repeat(hashes(1, rng), 2, axis=0)
    book = ledger(bits)
    assert len(close_pairs(book, np.arange(2)).one) == 1
    other = replace(book, aspect=np.array([8.0, 11.0], np.float32))
    assert len(close_pairs(other, np.arange(2)).one) == 0


def test_a_thousand_alike_give_a_few_candidates_each() -> None:
    bits = np.repeat(hashes(1, np.random.default_rng(10)), 1000, axis=0)
    pairs = close_pairs(ledger(bits), np.arange(1000))
    assert np.bincount(pairs.one).max() <= MAX_CANDIDATES
    assert len(pairs.one) > 900, "each is compared with one at least"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_lines_are_no_trouble(count: int) -> None:
    bits = np.repeat(hashes(1, np.random.default_rng(11)), count, axis=0)
    assert len(close_pairs(ledger(bits), np.arange(count)).one) == max(0, count - 1)


def test_rows_with_the_same_key_make_a_group_and_nameless_ones_do_not() -> None:
    keys = np.array([5, 0, 9, 5, 7, 9, 0, 5], np.uint64)
    assert [rows.tolist() for rows in groups_of(keys)] == [[0, 3, 7], [2, 5]]
    assert groups_of(np.zeros(3, np.uint64)) == []
