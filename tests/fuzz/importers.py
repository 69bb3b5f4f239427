"""Targets: importers, lines datasets and policies. Each fills a folder, runs, and looks at what came of it."""

import io
import shutil
import tarfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from htr.audit.page import audit_page
from htr.audit.run import audit_lines
from htr.image import MAX_PIXELS, decode_first
from htr.importers.iam import import_iam
from htr.importers.manifest import import_manifest
from htr.importers.names_csv import import_names_csv
from htr.importers.page_folder import import_page_folder
from htr.importers.parquet_images import import_parquet
from htr.importers.policy import SHIPPED, Policy
from htr.importers.text_files import import_text_files
from htr.lines import DatasetInfo, LinesDataset, LinesWriter
from tests.conftest import line_png, make_line
from tests.fuzz.sandbox import OUTSIDE, BrokenPromiseError, attempt, folder
from tests.unit.htr.importers.test_page_folder import BOTH, page_image, page_line
from tests.unit.htr.importers.test_page_folder import page_xml as page_text

IMAGE = line_png("drawn")
MAX_LINES = 4


def image(data: bytes) -> None:
    """Decode an image."""
    with folder():
        found = attempt(lambda: decode_first(data))
    if found is not None and (found.grey.dtype != np.uint8 or found.grey.size > MAX_PIXELS):
        raise BrokenPromiseError(f"decoded to {found.grey.shape} of {found.grey.dtype}")


def page_xml(data: bytes) -> None:
    """Import a page with ALTO or PAGE XML."""
    _import({"a.xml": data, "a.png": _page()}, import_page_folder)


def csv_table(data: bytes) -> None:
    """Import a CSV table."""
    _import({"t.csv": data}, lambda place, out: import_manifest(place / "t.csv", out))


def json_lines(data: bytes) -> None:
    """Import a JSON Lines table."""
    _import({"t.jsonl": data}, lambda place, out: import_manifest(place / "t.jsonl", out))


def names_csv(data: bytes) -> None:
    """Import a table in the Kaggle names layout."""
    _import({"names.csv": data}, lambda place, out: import_names_csv(place / "names.csv", out))


def iam(data: bytes) -> None:
    """Import IAM's words.txt."""
    files = {"words.txt": data, "words/a01/a01-000u/a01-000u-00-00.png": IMAGE}
    _import(files, lambda place, out: import_iam(place / "words.txt", out))


def gt_txt(data: bytes) -> None:
    """Import images with a text file each; the bytes are a text, and an image."""
    _import({"b.png": IMAGE, "b.gt.txt": data, "c.png": data, "c.gt.txt": b"c"}, import_text_files)


def parquet(data: bytes) -> None:
    """Import a Parquet file."""
    _import({"a.parquet": data}, import_parquet)


def tar(data: bytes) -> None:
    """Import a table whose images lie in a tar."""
    table = b"file_name,text,tar\nx.png,one,x.tar\ny/z.png,two,x.tar\nlink.png,three,\n"
    _import({"t.csv": table, "x.tar": data}, lambda place, out: import_manifest(place / "t.csv", out))


def policy(data: bytes) -> None:
    """Read a cleaning policy."""
    with folder() as place:
        (place / "in" / "p.toml").write_bytes(data)
        attempt(lambda: Policy.load(place / "in" / "p.toml"))


def dataset_json(data: bytes) -> None:
    """Open, verify and audit a dataset whose dataset.json somebody altered."""
    _dataset({"dataset.json": data})


def shard(data: bytes) -> None:
    """Open, verify and audit a dataset whose shard somebody altered."""
    _dataset({"lines/00000.parquet": data})


def _import(files: Mapping[str, bytes], run: Callable[[Path, Path], DatasetInfo]) -> None:
    with folder() as place:
        inside, outside = place / "in", place / OUTSIDE
        (outside / "secret.png").write_bytes(IMAGE)
        (outside / "secret.tar").write_bytes(sound_tars()[0])
        for name, data in {"a.png": IMAGE, "images/b.png": IMAGE, **files}.items():
            (inside / name).parent.mkdir(parents=True, exist_ok=True)
            (inside / name).write_bytes(data)
        (inside / "link.png").symlink_to(outside / "secret.png")
        (inside / "link.tar").symlink_to(outside / "secret.tar")
        (inside / "linked").symlink_to(outside)
        out = place / "out"
        info = attempt(lambda: run(inside, out), out)
        if info is not None:
            dataset = LinesDataset.open(out)
            dataset.verify()
            if len(list(dataset.lines())) != info.num_lines:
                raise BrokenPromiseError(f"dataset.json counts {info.num_lines} lines")


def _dataset(files: Mapping[str, bytes]) -> None:
    with folder() as place:
        path = place / "in" / "d"
        shutil.copytree(_written(), path)
        for name, data in files.items():
            (path / name).write_bytes(data)

        def read() -> None:
            dataset = LinesDataset.open(path)
            dataset.texts("train")
            audit_page(audit_lines(dataset), dataset)
            dataset.verify()

        attempt(read)


@cache
def _page() -> bytes:
    return _saved(page_image(), "PNG")


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


_KEPT = TemporaryDirectory(ignore_cleanup_errors=True)


@cache
def _written() -> Path:
    path = Path(_KEPT.name) / "d"
    with LinesWriter(path) as writer:
        for number in range(MAX_LINES):
            writer.add(make_line(f"line {number}", number))
    return path


def sound_images() -> list[bytes]:
    """Return an image in every format that is read."""
    picture = Image.open(io.BytesIO(line_png("ab", height=12)))
    made = [IMAGE]
    modes = {"PNG": "RGBA", "JPEG": "CMYK", "WEBP": "RGB", "TIFF": "I", "BMP": "P", "GIF": "P"}
    made += [_saved(picture.convert(mode), kind) for kind, mode in modes.items()]
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return [*made, _saved(picture, "JPEG", progressive=True, exif=turned)]


def sound_pages() -> list[bytes]:
    """Return a PAGE and an ALTO file."""
    line = page_line("first", "one &amp;amp; two", more='<Baseline points="50,85 300,85"/>')
    alto = (
        '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description><MeasurementUnit>pixel</MeasurementUnit>'
        "<sourceImageInformation><fileName>a.png</fileName></sourceImageInformation></Description>"
        '<Layout><Page WIDTH="400" HEIGHT="300"><PrintSpace><TextBlock><TextLine ID="l" HPOS="50" VPOS="60" '
        'WIDTH="250" HEIGHT="30" BASELINE="50 85 300 85"><Shape><Polygon POINTS="50 60 300 60 300 90 50 90"/>'
        '</Shape><String CONTENT="one"/><SP/><String CONTENT="two" SUBS_TYPE="HypPart1"/></TextLine></TextBlock>'
        "</PrintSpace></Page></Layout></alto>"
    )
    return [page_text(BOTH).encode(), page_text(f"<TextRegion>{line}</TextRegion>").encode(), alto.encode()]


def sound_tables() -> list[bytes]:
    """Return tables of several kinds."""
    return [
        b"file_name,text,writer,split\na.png,one,w,train\nb.png,two,,val\nlink.png,x,w,test\n"
        b"linked/secret.png,x,w,test\n../out-of-bounds/secret.png,x,w,test\n",
        'file_name;text;page;id\na.png;"h\u00e9 ""x""";p;1\nb.png;z;p;2\n'.encode("utf-8-sig"),
        b"file_name\ttext\ttar\nsecret.png\tone\tlink.tar\na.png\ttwo\t\n",
    ]


def sound_json_lines() -> list[bytes]:
    """Return tables of one object a line."""
    return [
        b'{"file_name": "a.png", "text": "one", "page": 3}\n{"file_name": "link.png", "text": "two", "id": "b"}\n',
        b'{"file_name": "b.png", "text": "\\u00e9\\ud83d\\ude00", "split": "val", "writer": null}\n',
    ]


def sound_names() -> list[bytes]:
    """Return tables of names."""
    return [b"FILENAME,IDENTITY\na.png,NAN\nb.png,EMPTY\nlink.png,ANNA\nlinked/secret.png,EVA\n"]


def sound_iam() -> list[bytes]:
    """Return words.txt."""
    return [
        b"#--- words.txt ---\na01-000u-00-00 ok 154 408 768 27 51 AT A\na01-000u-00-01 err 154 1 2 3 4 NN b # c\n"
        b"a01-000u-00-02 ok 154 -1 -1 -1 -1 . ,\n"
    ]


def sound_texts() -> list[bytes]:
    """Return texts of a line."""
    return [b"text\n", "\ufeffh\u00e9llo\r\n".encode(), b"", b"two\nlines\n"]


def sound_parquet() -> list[bytes]:
    """Return Parquet files as Hugging Face writes them, and plainer ones."""
    rows = [
        {"image": {"bytes": IMAGE, "path": None}, "text": "one", "id": 1},
        {"image": {"bytes": None, "path": "link.png"}, "text": "two", "id": 2},
    ]
    plain = [{"image": IMAGE, "label": "one", "split": "val"}, {"image": b"", "label": None, "split": "val"}]
    return [_parquet(rows), _parquet(plain)]


def sound_tars() -> list[bytes]:
    """Return tars in several formats, with a link among their members."""
    made = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as archive:
            for name, data in (("images/x.png", IMAGE), ("secret.png", IMAGE), (f"{'y' * 120}/y/z.png", IMAGE)):
                info = tarfile.TarInfo(name[-60:] if form == tarfile.USTAR_FORMAT else name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            link = tarfile.TarInfo("w.png")
            link.type, link.linkname = tarfile.SYMTYPE, "../out-of-bounds/secret.png"
            archive.addfile(link)
        made.append(out.getvalue())
    return made


def sound_policies() -> list[bytes]:
    """Return the policies that come along."""
    return [path.read_bytes() for path in sorted(SHIPPED.glob("*.toml"))]


def sound_dataset_json() -> list[bytes]:
    """Return a dataset.json."""
    return [(_written() / "dataset.json").read_bytes()]


def sound_shards() -> list[bytes]:
    """Return a shard."""
    return [(_written() / "lines" / "00000.parquet").read_bytes()]


def _parquet(rows: list[dict[str, object]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()
