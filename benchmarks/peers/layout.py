"""Lines dataset -> the one layout that every peer trains on and reads: equal pixels, equal texts, equal split.

    DIR/train/000000.png, 000000.gt.txt, ...   and so val/, test/
    DIR/train.txt, val.txt, test.txt           the images' paths, one a line
    DIR/dataset                                the same images as a lines dataset, for ours
    DIR/index.json                             what lies where; written last

Every image is decoded, turned to grey and scaled to one height by us, since peers differ in what they can open.
Names have no dot but the last: Calamari cuts at the first.
"""

import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image

from benchmarks.peers.protocol import Settings
from htr.errors import DataError, ImageError, OutputError
from htr.image import decode
from htr.lines import Line, LinesDataset, LinesWriter

VERSION = 1
SPLITS = ("train", "val", "test")
MAX_WIDTH = 4096
"""Pixels after scaling; wider lines are squeezed, so that one line cannot stop a peer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaidLine:
    """One line as the peers see it."""

    id: str
    file: str
    """Path of the image; its text lies beside it as ``.gt.txt``."""
    text: str
    source: str
    language: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What was laid out."""

    folder: Path
    key: str
    """Digest of everything that decides the content."""
    lines: dict[str, list[LaidLine]]
    """By split."""
    excluded: dict[str, int] = field(default_factory=dict)
    """Lines that no peer gets, by ``split: reason``."""

    @property
    def dataset(self) -> Path:
        """Return the folder of the same lines as a lines dataset."""
        return self.folder / "dataset"

    def list_file(self, split: str) -> Path:
        """Return the file that names a split's images."""
        return self.folder / f"{split}.txt"


def lay_out(
    dataset: LinesDataset,
    folder: Path,
    settings: Settings,
    *,
    on_line: Callable[[int, int], None] = lambda *_: None,
) -> Layout:
    """Write the layout, or take the one that is there where it is the same.

    Raises:
        DataError: a split has no usable line.
        OutputError: it cannot be written.
    """
    folder = folder.resolve()  # peers are started in folders of their own
    key = _key(dataset, settings)
    if (folder / "index.json").is_file():
        found = _open(folder)
        if found.key == key:
            return found
    wanted = _drawn(dataset, settings)
    total = sum(len(ids) for ids in wanted.values())
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        lines, excluded = _write(dataset, partial, folder, wanted, settings.height, lambda n: on_line(n, total))
        for split in SPLITS:
            if not lines[split]:
                raise DataError(
                    f"{dataset.path}: no usable line in split {split!r}; the bench needs all of {SPLITS}"
                )
        plain = {s: [asdict(line) for line in lines[s]] for s in SPLITS}
        index = {"version": VERSION, "key": key, "lines": plain, "excluded": excluded}
        (partial / "index.json").write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")
        partial.replace(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _open(folder)


def _write(
    dataset: LinesDataset,
    partial: Path,
    folder: Path,
    wanted: dict[str, set[str]],
    height: int,
    on_line: Callable[[int], None],
) -> tuple[dict[str, list[LaidLine]], dict[str, int]]:
    lines: dict[str, list[LaidLine]] = {split: [] for split in SPLITS}
    excluded: Counter[str] = Counter()
    for split in SPLITS:
        (partial / split).mkdir(parents=True)
    done = 0
    with LinesWriter(partial / "dataset") as writer:
        for line in dataset.lines():
            if line.id not in wanted.get(line.split, ()):
                continue
            done += 1
            on_line(done)
            try:
                png, width = _scaled(line.image, height)
            except ImageError as error:
                excluded[f"{line.split}: {error.reason}"] += 1
                continue
            name = f"{len(lines[line.split]):06d}"
            (partial / line.split / f"{name}.png").write_bytes(png)
            (partial / line.split / f"{name}.gt.txt").write_text(line.text + "\n", encoding="utf-8")
            file = str(folder / line.split / f"{name}.png")
            lines[line.split].append(
                LaidLine(id=line.id, file=file, text=line.text, source=line.source, language=line.language)
            )
            writer.add(_changed(line, png, width, height))
    for split in SPLITS:
        files = "".join(f"{line.file}\n" for line in lines[split])
        (partial / f"{split}.txt").write_text(files, encoding="utf-8")
    return lines, dict(sorted(excluded.items()))


def _scaled(image: bytes, height: int) -> tuple[bytes, int]:
    grey = Image.fromarray(decode(image))
    width = max(1, min(MAX_WIDTH, round(grey.width * height / grey.height)))
    if grey.size != (width, height):
        grey = grey.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    grey.save(out, "PNG")
    return out.getvalue(), width


def _changed(line: Line, png: bytes, width: int, height: int) -> Line:
    return Line(
        id=line.id,
        image=png,
        text=line.text,
        writer=line.writer,
        page=line.page,
        language=line.language,
        source=line.source,
        split=line.split,
        width=width,
        height=height,
    )


def _drawn(dataset: LinesDataset, settings: Settings) -> dict[str, set[str]]:
    """Return the ids to use: the same ones for the same seed, whatever the order of the dataset."""
    most = {"train": settings.train_lines, "val": settings.val_lines, "test": settings.test_lines}
    ids: dict[str, list[str]] = {split: [] for split in SPLITS}
    for row in dataset.columns(["id", "split"]).to_pylist():
        if row["split"] in ids:
            ids[row["split"]].append(row["id"])

    def lot(line_id: str) -> bytes:
        return hashlib.sha256(f"{settings.seed} {line_id}".encode()).digest()

    return {split: set(sorted(found, key=lot)[: most[split]]) for split, found in ids.items()}


def _key(dataset: LinesDataset, settings: Settings) -> str:
    numbers = (settings.seed, settings.height, settings.train_lines, settings.val_lines, settings.test_lines)
    return hashlib.sha256(repr((VERSION, dataset.digest, numbers)).encode()).hexdigest()


def _open(folder: Path) -> Layout:
    try:
        raw = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        lines = {split: [LaidLine(**line) for line in raw["lines"][split]] for split in SPLITS}
        return Layout(folder=folder, key=raw["key"], lines=lines, excluded=raw["excluded"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{folder}: damaged ({error}); remove it and start again") from error
