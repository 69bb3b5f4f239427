"""Whatever lies in a folder, an import keeps or quarantines it or says what is wrong, and does so soon."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from htr.errors import QuillflowError
from htr.importers.iam import import_iam
from htr.importers.manifest import import_manifest
from htr.importers.page_folder import import_page_folder
from htr.importers.parquet_images import import_parquet
from htr.importers.text_files import import_text_files
from htr.lines import DatasetInfo, LinesDataset
from tests.conftest import line_png
from tests.unit.htr.importers.test_page_folder import BOTH, page_image, page_xml

QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
IMAGE = line_png("drawn")
TEXT = st.text(max_size=40)
NUMBER = st.one_of(st.integers(), st.floats(), st.sampled_from(["", "nan", "-1", "1e400", "x"])).map(str)


def attempt(folder: Path, run: Callable[[Path], DatasetInfo]) -> None:
    """Import; it must end soon, either with sound lines or with an error for people and nothing left behind."""
    out = folder / "out"
    began = time.monotonic()
    try:
        info = run(out)
    except QuillflowError:
        assert not out.exists()
        assert not list(folder.glob(".out*"))
    else:
        dataset = LinesDataset.open(out)
        dataset.verify()
        assert len(list(dataset.lines())) == info.num_lines
    assert time.monotonic() - began < 5


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """Draw bytes that were cut, overwritten or repeated somewhere."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["cut", "write", "repeat"]))
        piece = draw(st.binary(min_size=1, max_size=8))
        if kind == "cut":
            del data[at : at + draw(st.integers(1, 60))]
        elif kind == "write":
            data[at : at + len(piece)] = piece
        else:
            data[at:at] = data[at : at + 40] * draw(st.integers(1, 20))
    return bytes(data)


@given(data=mutated(page_xml(BOTH).encode()))
@QUICK
def test_damaged_page_files(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "in" / "a.xml").write_bytes(data)
        page_image().save(folder / "in" / "a.png")
        attempt(folder, lambda out: import_page_folder(folder / "in", out))


@given(points=st.lists(st.tuples(NUMBER, NUMBER), max_size=6), text=TEXT, size=st.tuples(NUMBER, NUMBER))
@QUICK
def test_odd_points_sizes_and_texts_of_pages(
    points: list[tuple[str, str]], text: str, size: tuple[str, str]
) -> None:
    from xml.sax.saxutils import escape

    from htr.plain_xml import plain

    coordinates = " ".join(f"{x},{y}" for x, y in points)
    line = (
        f'<TextLine id="l"><Coords points="{coordinates}"/><Baseline points="{coordinates}"/>'
        f"<TextEquiv><Unicode>{escape(plain(text))}</Unicode></TextEquiv></TextLine>"
    )
    for width, height in (("400", "300"), size):
        xml = page_xml(f"<TextRegion>{line}</TextRegion>", size=(width, height))  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "in").mkdir()
            (folder / "in" / "a.xml").write_text(xml, encoding="utf-8", errors="surrogatepass")
            page_image().save(folder / "in" / "a.png")
            attempt(folder, lambda out, folder=folder: import_page_folder(folder / "in", out))  # type: ignore[misc]


@given(data=mutated(IMAGE), text=st.binary(max_size=60))
@QUICK
def test_damaged_images_and_texts(data: bytes, text: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for base, image, said in (("a", data, b"text"), ("b", IMAGE, text), ("c", IMAGE, b"sound")):
            (folder / "in" / f"{base}.png").write_bytes(image)
            (folder / "in" / f"{base}.gt.txt").write_bytes(said)
        attempt(folder, lambda out: import_text_files(folder / "in", out))


@given(
    data=mutated(b"# c\na01-000u-00-00 ok 154 408 768 27 51 AT A\na01-000u-00-01 ok 1 2 3 4 5 NN b c\n"),
    forms=st.binary(max_size=40),
)
@QUICK
def test_damaged_iam_tables(data: bytes, forms: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = folder / "in" / "words" / "a01" / "a01-000u"
        place.mkdir(parents=True)
        (place / "a01-000u-00-00.png").write_bytes(IMAGE)
        (folder / "in" / "words.txt").write_bytes(data)
        (folder / "in" / "forms.txt").write_bytes(forms)
        attempt(folder, lambda out: import_iam(folder / "in" / "words.txt", out))


@given(data=mutated(b'{"file_name": "a.png", "text": "one"}\n{"file_name": "a.png", "text": "two", "id": "b"}\n'))
@QUICK
def test_damaged_json_lines(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "in" / "a.png").write_bytes(IMAGE)
        (folder / "in" / "t.jsonl").write_bytes(data)
        attempt(folder, lambda out: import_manifest(folder / "in" / "t.jsonl", out))


@given(data=st.data())
@QUICK
def test_damaged_parquet(data: st.DataObject) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [{"image": {"bytes": IMAGE, "path": None}, "text": f"text {n}"} for n in range(3)]
        pq.write_table(pa.Table.from_pylist(rows), folder / "whole.parquet")
        (folder / "in").mkdir()
        (folder / "in" / "a.parquet").write_bytes(data.draw(mutated((folder / "whole.parquet").read_bytes())))
        attempt(folder, lambda out: import_parquet(folder / "in", out))
