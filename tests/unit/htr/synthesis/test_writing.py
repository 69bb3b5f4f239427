"""Invented writers: repeatable, distinct, and honest about what they wrote."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htr.errors import DataError, OutputError, SettingsError
from htr.image import decode
from htr.levels import measure_levels
from htr.lines import Line, LinesDataset
from htr.synthesis import POPULATIONS, Style, draw, invent_text, write_dataset
from htr.synthesis.letters import GREEK_FONTS, has_glyph, hershey_letters
from htr.synthesis.text import MAX_LENGTH, MIN_LENGTH

FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"


def written(tmp_path: Path, name: str = "out", **changes: Any) -> LinesDataset:
    options: dict[str, Any] = {"num_lines": 40, "num_writers": 10, "seed": 5, **changes}
    write_dataset(tmp_path / name, **options)
    return LinesDataset.open(tmp_path / name)


def splits_by_writer(lines: list[Line]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in lines:
        found.setdefault(line.writer, set()).add(line.split)
    return found


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here = written(tmp_path)
    program = (
        "from pathlib import Path; from htr.synthesis import write_dataset; "
        f"write_dataset(Path({str(tmp_path / 'there')!r}), num_lines=40, num_writers=10, seed=5)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[4])
    for file in ("dataset.json", "lines/00000.parquet"):
        assert (tmp_path / "there" / file).read_bytes() == (here.path / file).read_bytes()


def test_another_seed_or_population_gives_other_lines(tmp_path: Path) -> None:
    digests = {
        written(tmp_path, "a").digest,
        written(tmp_path, "b", seed=6).digest,
        written(tmp_path, "c", population="drifted").digest,
    }
    assert len(digests) == 3


def test_lines_say_what_they_are(tmp_path: Path) -> None:
    dataset = written(tmp_path, population="drifted")
    lines = list(dataset.lines())
    assert len(lines) == 40
    assert dataset.info.counts["source"] == {"invented-drifted": 40}
    assert set(dataset.info.counts["language"]) == {"eng", "fra"}
    assert all(decode(line.image).shape == (line.height, line.width) for line in lines)
    assert all(36 <= line.height <= 80 for line in lines)
    assert len({line.text for line in lines}) == 40


def test_a_writer_stays_in_one_split_and_splits_have_their_shares(tmp_path: Path) -> None:
    lines = list(written(tmp_path, num_lines=33).lines())
    by_writer = splits_by_writer(lines)
    assert all(len(splits) == 1 for splits in by_writer.values())
    shares = sorted(next(iter(splits)) for splits in by_writer.values())
    assert shares == ["test"] * 2 + ["train"] * 7 + ["val"]
    drifted = written(tmp_path, "all", splits={"test": 1.0})
    assert drifted.info.counts["split"] == {"test": 40}


def test_progress_counts_every_line(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    written(tmp_path, num_lines=12, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 12) for done in range(1, 13)]


def test_the_drifted_population_is_unlike_the_plain_one() -> None:
    def measure(population: str) -> np.ndarray:
        styles = [Style.invent(seed, like=POPULATIONS[population]) for seed in range(12)]
        greys = [draw("Nous avons vendu", style, np.random.default_rng(1)) for style in styles]
        return np.array([(levels.paper, levels.ink) for levels in map(measure_levels, greys)])

    plain, drifted = measure("plain"), measure("drifted")
    assert drifted[:, 0].max() < plain[:, 0].min()  # every paper is darker
    contrast = [paper - ink for paper, ink in (plain.mean(axis=0), drifted.mean(axis=0))]
    assert contrast[1] < 0.6 * contrast[0]
    assert not set(POPULATIONS["plain"].fonts) & set(POPULATIONS["drifted"].fonts)


def test_a_style_is_a_hand_and_a_generator_its_mood() -> None:
    style, other = (Style.invent(seed, like=POPULATIONS["plain"]) for seed in (1, 2))
    first = draw("Jack Hartwell", style, np.random.default_rng(1))
    assert np.array_equal(first, draw("Jack Hartwell", style, np.random.default_rng(1)))
    again = draw("Jack Hartwell", style, np.random.default_rng(2))
    assert again.shape != first.shape or not np.array_equal(again, first)
    assert style == Style.invent(1, like=POPULATIONS["plain"]) != other


def test_ink_stands_out_and_margins_are_free_of_it() -> None:
    for name, population in POPULATIONS.items():
        style = Style.invent(3, like=population)
        grey = draw("Clara Foxham, 12/3/1924", style, np.random.default_rng(0)).astype(float)
        levels = measure_levels(grey.astype(np.uint8))
        paper, ink = levels.paper, levels.ink
        middle = (paper + ink) / 2
        border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
        assert border.min() > middle, name
        assert 0.02 < (grey < middle).mean() < 0.4, name


def test_what_a_font_cannot_draw_is_refused() -> None:
    style = Style.invent(1, like=POPULATIONS["plain"])
    with pytest.raises(ValueError, match=r"no glyph for \['ж'\]"):
        draw("ж", style, np.random.default_rng(0))
    with pytest.raises(ValueError, match="empty"):
        draw("  ", style, np.random.default_rng(0))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_invented_texts_are_short_and_every_font_can_draw_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fonts = [font for population in POPULATIONS.values() for font in population.fonts]
    for _ in range(20):
        text, language = invent_text(rng)
        assert MIN_LENGTH <= len(text) <= MAX_LENGTH
        assert language in {"eng", "fra"}
        assert text == " ".join(text.split())
        assert all(has_glyph(font, character) for font in fonts for character in text)


def test_invented_texts_hardly_repeat() -> None:
    rng = np.random.default_rng(0)
    texts = [invent_text(rng)[0] for _ in range(2000)]
    assert len(set(texts)) > 1900
    lengths = np.array([len(text) for text in texts])
    assert 12 <= np.median(lengths) <= 18


def test_outline_fonts_write_too(tmp_path: Path) -> None:
    folder = tmp_path / "fonts"
    folder.mkdir()
    (folder / "hand.ttf").write_bytes((FONTS / "DejaVuSans-Oblique.ttf").read_bytes())
    lines = list(written(tmp_path, num_lines=10, fonts=folder, population="drifted").lines())
    assert all(36 <= line.height <= 80 and line.width > line.height for line in lines)


def test_fonts_that_cannot_write_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "fonts"
    with pytest.raises(DataError, match="not a folder"):
        written(tmp_path, fonts=folder)
    folder.mkdir()
    with pytest.raises(DataError, match=r"holds no \.ttf or \.otf file"):
        written(tmp_path, fonts=folder)
    (folder / "STIXSizFourSymBol.ttf").write_bytes((FONTS / "STIXSizFourSymBol.ttf").read_bytes())
    with pytest.raises(DataError, match=r"STIXSizFourSymBol\.ttf: the font has no letter for"):
        written(tmp_path, fonts=folder)
    (folder / "ABROKEN.ttf").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"ABROKEN\.ttf: not a font"):
        written(tmp_path, fonts=folder)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"population": "odd"}, r"population 'odd' is not known; choose one of \['drifted', 'plain'\]"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"num_lines": 3}, "3 lines cannot be spread over 10 writers"),
        ({"num_writers": 0}, "at least one writer"),
        ({"num_writers": 2}, "ask for at least 3 writers"),
        ({"splits": {"train": 0.5}}, "add up to 1"),
        ({"splits": {"holdout": 1.0}}, "splits must give shares"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        written(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_a_dataset_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    digest = written(tmp_path).digest
    with pytest.raises(OutputError, match="already there"):
        written(tmp_path, seed=6)
    assert LinesDataset.open(tmp_path / "out").digest == digest


@pytest.mark.parametrize(
    ("plain", "marked"), [("a", "á"), ("o", "ộ"), ("u", "ữ"), ("d", "đ"), ("D", "Đ"), ("E", "Ễ")]
)
def test_a_mark_adds_ink_and_leaves_the_letter_as_it_is(plain: str, marked: str) -> None:
    letters = hershey_letters("futural")
    bare, dressed = letters[plain], letters[marked]
    assert np.array_equal(dressed.points[: len(bare.points)], bare.points)
    assert len(dressed.points) > len(bare.points)
    assert dressed.begins.sum() > bare.begins.sum()
    assert dressed.advance == bare.advance


def test_an_accent_takes_the_dots_place_and_a_tone_below_does_not() -> None:
    letters = hershey_letters("futural")
    strokes = {c: int(letters[c].begins.sum()) for c in "iíị"}
    assert strokes["í"] == strokes["i"] == strokes["ị"] - 1
    stem = letters["i"].points[-2:]
    assert np.array_equal(letters["í"].points[:2], stem)
    assert letters["í"].points[2:, 1].max() < stem[:, 1].min() < 0 < letters["ị"].points[-2:, 1].min()


def test_greek_letters_come_from_the_greek_fonts() -> None:
    for name in GREEK_FONTS:
        letters = hershey_letters(name)
        assert {*"αβγδεζηθικλμνξοπρσςτυφχψωΑΩάέήίόύώϊΐΰΆΏ", *"0123456789.,/"} <= set(letters)
        assert "a" not in letters
