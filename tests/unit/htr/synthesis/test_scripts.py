"""Other scripts from the table to the reading: what lies where on the image, and what comes out."""

import csv
import io
import json
import unicodedata
from pathlib import Path

import matplotlib as mpl
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from htr.__main__ import main
from htr.alphabet import Alphabet
from htr.bundle import ONNX, WEIGHTS, Bundle, write_bundle
from htr.errors import DataError, SettingsError
from htr.image import Geometry
from htr.lines import LinesDataset
from htr.recogniser import Recogniser
from htr.store import open_store
from htr.synthesis import write_dataset
from htr.synthesis.ink import draw
from htr.synthesis.scripts import SCRIPTS, characters_of, invent_script_text
from htr.synthesis.style import POPULATIONS, Style

FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
GEOMETRY = Geometry(height=32, column_step=4)


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fonts")
    (folder / "a.ttf").write_bytes((FONTS / "DejaVuSans.ttf").read_bytes())
    return folder


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory, fonts: Path) -> dict[str, LinesDataset]:
    folder = tmp_path_factory.mktemp("invented")
    found = {}
    for script in SCRIPTS:
        options = {"fonts": fonts} if script == "arabic" else {}
        write_dataset(folder / script, num_lines=18, num_writers=6, seed=4, script=script, **options)
        found[script] = LinesDataset.open(folder / script)
    return found


def bundle_that_reads(path: Path, text: str, alphabet: Alphabet) -> Path:
    """Write a bundle whose network sees these characters on every image, from left to right as on paper."""
    ids = [0]
    for number in alphabet.encode(text):
        ids += [number, 0]
    scores = np.full((1, len(ids), len(alphabet)), -9.0, np.float32)
    scores[0, np.arange(len(ids)), ids] = -0.001
    shapes = [("images", (1, 1, GEOMETRY.height, "W")), ("log_probs", (1, len(ids), len(alphabet)))]
    given, told = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    node = helper.make_node("Constant", [], ["log_probs"], value=numpy_helper.from_array(scores))
    graph = helper.make_graph([node], "always the same", [given], [told])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    bundle = Bundle(path=path, architecture={}, alphabet=alphabet, geometry=GEOMETRY)
    write_bundle(bundle, {WEIGHTS: b"", ONNX: model.SerializeToString()})
    return path


def plain_style(fonts: Path) -> Style:
    style = Style.invent(1, like=POPULATIONS["plain"])
    changes = {"font": str(fonts / "a.ttf"), "slant": 0.0, "jitter": 0.0, "wander": 0.0, "paper_noise": 0.0}
    return Style(**{name: changes.get(name, getattr(style, name)) for name in Style.__dataclass_fields__})


def test_the_class_of_the_first_letter_stands_where_its_ink_is(fonts: Path) -> None:
    # The two letters differ in a dot alone: what changes on the image is where the letter is.
    text, style = "حاح حا 12 حاح", plain_style(fonts)
    alphabet = Alphabet.of_texts([text, "ج"])
    whole, classes = draw(text, style, np.random.default_rng(0)), alphabet.encode(text)
    seen: list[tuple[float, int]] = []
    for index in (i for i, letter in enumerate(text) if letter == "ح"):
        other = f"{text[:index]}ج{text[index + 1 :]}"
        image = draw(other, style, np.random.default_rng(0))
        assert image.shape == whole.shape
        columns = np.flatnonzero((image != whole).any(axis=0))
        (place,) = (n for n, (a, b) in enumerate(zip(classes, alphabet.encode(other), strict=True)) if a != b)
        seen.append((float(columns.mean() / whole.shape[1]), place))
    assert seen[0][0] > 0.9  # the first letter's ink is at the right edge,
    assert seen[0][1] == len(text) - 1  # and its class is the last
    assert seen[-1][0] < 0.15
    assert seen == sorted(seen, reverse=True)  # and so for every letter between


def test_a_reading_is_in_logical_order(tmp_path: Path, fonts: Path) -> None:
    text = "محمد (Paris) في 24/1/1922"
    bundle = bundle_that_reads(tmp_path / "b", text, Alphabet.of_texts([text]))
    image = draw(text, plain_style(fonts), np.random.default_rng(0))
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    (reading,) = Recogniser.load(bundle).read([out.getvalue()])
    assert reading.text == text


@pytest.mark.parametrize("script", SCRIPTS)
def test_invented_lines_are_in_their_script_and_can_be_learnt_from(
    invented: dict[str, LinesDataset], script: str, tmp_path: Path
) -> None:
    lines = list(invented[script].lines())
    assert {line.source for line in lines} == {f"invented-{script}-plain"}
    assert {line.language for line in lines} == {{"greek": "ell", "arabic": "ara", "vietnamese": "vie"}[script]}
    letters = "".join(line.text for line in lines)
    wanted = {"greek": "GREEK", "arabic": "ARABIC", "vietnamese": "LATIN"}[script]
    named = [unicodedata.name(c).split()[0] == wanted for c in letters if c.isalpha()]
    assert sum(named) > 0.8 * len(named)  # Arabic letters name towns abroad in their own script
    alphabet = Alphabet.of_texts(invented[script].texts())
    store = open_store(invented[script], "train", tmp_path, geometry=GEOMETRY, alphabet=alphabet)
    assert store.excluded == []
    assert [alphabet.decode(sample.class_ids) for sample in store] == invented[script].texts("train")


def test_texts_of_a_script_use_the_characters_it_names_and_nearly_all_come_back() -> None:
    rng = np.random.default_rng(0)
    for script in SCRIPTS:
        texts = [invent_script_text(rng, script)[0] for _ in range(400)]
        assert set("".join(texts)) - {" "} <= set(characters_of(script))
        assert all(unicodedata.is_normalized("NFC", text) and len(text) >= 4 for text in texts)
        assert len(set(texts)) > 350
        alphabet = Alphabet.of_texts(texts)
        assert all(alphabet.decode(alphabet.encode(text)) == text for text in texts)


def test_arabic_wants_fonts_that_have_its_letters(tmp_path: Path) -> None:
    options = {"num_lines": 3, "num_writers": 3, "seed": 1}
    with pytest.raises(SettingsError, match="--fonts"):
        write_dataset(tmp_path / "out", script="arabic", **options)
    with pytest.raises(SettingsError, match="script 'runes' is not known"):
        write_dataset(tmp_path / "out", script="runes", **options)
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "b.ttf").write_bytes((FONTS / "cmr10.ttf").read_bytes())
    with pytest.raises(DataError, match=r"b\.ttf: the font has no letter for"):
        write_dataset(tmp_path / "out", script="arabic", fonts=tmp_path / "fonts", **options)


def test_arabic_from_a_table_to_a_reading_by_the_commands(
    invented: dict[str, LinesDataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = list(invented["arabic"].lines())
    texts = [unicodedata.normalize("NFD", line.text) for line in lines]
    texts[0] = "سلام abc 12"  # on paper the same as with the number first
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["file_name", "text", "split"])
        for line, text in zip(lines, texts, strict=True):
            (tmp_path / f"{line.id}.png").write_bytes(line.image)
            table.writerow([f"{line.id}.png", text, line.split])
    assert main(["import", "manifest", str(tmp_path / "t.csv"), "--out", str(tmp_path / "lines")]) == 0
    told = capsys.readouterr().out
    assert (
        f"1 lines mix writing directions so that another text would look the same on paper ({lines[0].id}" in told
    )
    dataset = LinesDataset.open(tmp_path / "lines")
    assert dataset.texts()[1:] == [line.text for line in lines[1:]]

    bundle = tmp_path / "bundle"
    assert main(["train", str(dataset.path), "--out", str(bundle), "--max-lines", "24"]) == 0
    trained = Bundle.open(bundle)
    assert trained.trained_lines == len(dataset.texts("train"))
    assert trained.alphabet.missing(lines[1].text) == []

    reads = bundle_that_reads(tmp_path / "sure", lines[1].text, trained.alphabet)
    image = tmp_path / f"{lines[1].id}.png"
    capsys.readouterr()
    assert main(["read", str(image), "--bundle", str(reads), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["text"] == lines[1].text
    assert main(["evaluate", str(dataset.path), "--bundle", str(bundle), "--out", str(tmp_path / "r.json")]) == 0
    assert "in graphemes" in capsys.readouterr().out
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert all(line["recoverable"] for line in report["lines"] if line["id"] != lines[0].id)
