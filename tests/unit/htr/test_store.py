"""Decoded lines on disk."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from htr.alphabet import Alphabet
from htr.errors import OutputError
from htr.image import Geometry, decode, line_tensor
from htr.lines import Line, LinesDataset, LinesWriter
from htr.store import LineStore, open_store
from tests.conftest import line_png, make_line

GEOMETRY = Geometry(height=16)
ALPHABET = Alphabet("abcdefghijklmnopqrstuvwxyz ")
BAD = [
    Line(id="broken", image=line_png("broken")[:100], text="broken", width=66, height=32),
    make_line("ONE", 50),
    Line(id="crowded", image=line_png("a"), text="far too long for it", width=21, height=32),
    Line(id="empty", image=b"", text="one", width=1, height=1),
]


@pytest.fixture
def dataset(tmp_path: Path) -> LinesDataset:
    with LinesWriter(tmp_path / "d") as writer:
        for n in range(9):
            writer.add(make_line("word " * (1 + n % 4) + "end", n))
        for line in BAD:
            writer.add(line)
    return LinesDataset.open(tmp_path / "d")


@pytest.fixture
def opened(dataset: LinesDataset, tmp_path: Path) -> Callable[..., LineStore]:
    def open_it(**changes: object) -> LineStore:
        settings = {"geometry": GEOMETRY, "alphabet": ALPHABET, **changes}
        return open_store(dataset, "train", tmp_path / "store", **settings)

    return open_it


def test_lines_that_ctc_cannot_learn_are_listed_by_reason(opened: Callable[..., LineStore]) -> None:
    lines = opened()
    assert len(lines) == 9
    assert dict(lines.excluded) == {
        "broken": "undecodable",
        "line-50": "unknown_character",
        "crowded": "too_few_steps",
        "empty": "empty",
    }
    assert sum(lines.reasons().values()) == 4


def test_a_stored_line_is_what_serving_would_scale(
    opened: Callable[..., LineStore], dataset: LinesDataset
) -> None:
    lines = opened()
    for number, line in enumerate(list(dataset.lines("train"))[:9]):
        tensor_1HW = line_tensor(decode(line.image), GEOMETRY)
        assert lines[number].id == line.id
        assert ALPHABET.decode(lines[number].class_ids) == line.text
        np.testing.assert_allclose(lines[number].ink_HW / 255, tensor_1HW[0], atol=0.5 / 255 + 1e-6)


def test_lines_are_decoded_once_and_anew_for_other_settings(
    opened: Callable[..., LineStore], tmp_path: Path
) -> None:
    seen: list[int] = []
    opened(on_line=seen.append)
    opened(on_line=seen.append)
    assert seen == list(range(1, 14))
    assert opened(geometry=Geometry(height=24), on_line=seen.append).height == 24
    assert len(opened(alphabet=Alphabet("word en"), on_line=seen.append)) == 9
    assert len(seen) == 3 * 13
    assert len(list((tmp_path / "store").iterdir())) == 6


def test_a_killed_decoding_is_begun_again(opened: Callable[..., LineStore], tmp_path: Path) -> None:
    def killed(number: int) -> None:
        if number == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(on_line=killed)
    assert not list((tmp_path / "store").glob("*.json"))
    assert len(opened()) == 9


def test_it_pickles_as_a_name_not_as_pixels(opened: Callable[..., LineStore]) -> None:
    lines = opened()
    pixels = lines[3].ink_HW
    packed = pickle.dumps(lines)
    assert len(packed) < sum(16 * width for width in lines.widths)
    np.testing.assert_array_equal(pickle.loads(packed)[3].ink_HW, pixels)  # noqa: S301 - packed above


def test_a_folder_that_cannot_be_written_is_named(dataset: LinesDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another work folder"):
        open_store(dataset, "train", tmp_path / "file" / "x", geometry=GEOMETRY, alphabet=ALPHABET)


def test_the_index_is_plain_json(opened: Callable[..., LineStore]) -> None:
    index = json.loads(opened().ink.with_suffix(".json").read_text())
    assert set(index) == {"ids", "sources", "widths", "class_ids", "excluded", "height"}
