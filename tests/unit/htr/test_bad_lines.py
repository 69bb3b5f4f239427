"""Lines that cannot be learnt from, from a table to a trained model: reported, excluded, never `inf`."""

import csv
import io
import math
from pathlib import Path

import pytest
from PIL import Image

from htr.importers.manifest import import_manifest
from htr.lines import LinesDataset
from htr.recogniser import Recogniser
from htr.train import Progress, train
from htr.train_config import TrainConfig
from tests.conftest import TINY, line_png

GOOD = ("one two", "three", "seven", "eleven", "two ten", "nine")


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height), 200).save(out, "PNG")
    return out.getvalue()


BAD = {
    "nan": (line_png("x"), ""),  # as tables write a number that is none
    "blank-label": (line_png("x"), "  "),
    "longer-than-its-steps": (line_png("a"), "far more text than a line of these few pixels can hold"),
    "empty-file": (b"", "one"),
    "cut-short": (line_png("three")[:60], "three"),
    "no-image-at-all": (b"one two three", "one"),
    "one-pixel": (png(1, 1), "one"),
    "twenty-thousand-pixels": (png(20_000, 32), "one"),
    "bomb": (png(20_000, 2_000), "one"),
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of sound lines with every kind of bad one among them."""
    rows = [
        (f"good-{n}", line_png(GOOD[n % 6], seed=n), GOOD[n % 6], ("train", "val")[n % 4 == 3]) for n in range(40)
    ]
    rows += [(name, image, text, split) for split in ("train", "val") for name, (image, text) in BAD.items()]
    rows.append(("unknown-character", line_png("one"), "onæ", "val"))  # no training line teaches it
    with (tmp_path / "table.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file_name", "text", "split", "id"])
        for name, image, text, split in rows:
            (tmp_path / f"{name}-{split}.png").write_bytes(image)
            writer.writerow([f"{name}-{split}.png", text, split, f"{name}-{split}"])
    return tmp_path / "table.csv"


def test_bad_lines_are_reported_and_excluded_and_the_others_are_learnt_from(table: Path, tmp_path: Path) -> None:
    import_manifest(table, tmp_path / "lines")
    dataset = LinesDataset.open(tmp_path / "lines")
    with (tmp_path / "lines" / "quarantine.csv").open(encoding="utf-8", newline="") as stream:
        quarantined = {Path(row["name"]).stem.rpartition("-")[0]: row["reason"] for row in csv.DictReader(stream)}
    told: list[Progress] = []
    config = TrainConfig(max_lines=120, model=TINY, accelerator="cpu")
    result = train(dataset, tmp_path / "b", config, work=tmp_path / "w", on_progress=told.append)
    assert result is not None
    excluded = {line_id.rpartition("-")[0]: reason for line_id, reason in result.excluded}
    assert set(BAD) <= set(quarantined) | set(excluded)
    assert quarantined.keys() & excluded.keys() == set()
    assert excluded["unknown-character"] == "unknown_character"
    assert excluded["longer-than-its-steps"] == "too_few_steps"
    assert excluded["twenty-thousand-pixels"] == "too_long"
    assert {quarantined[name] for name in ("nan", "blank-label")} == {"no_text"}
    kinds = {"empty-file": "empty", "one-pixel": "too_small", "bomb": "too_large", "cut-short": "undecodable"}
    assert {name: quarantined[name] for name in kinds} == {name: f"{kind}_image" for name, kind in kinds.items()}
    assert all(line_id.startswith("good") for line_id in result.train_ids)
    assert result.lines["train"] == len(result.train_ids)
    losses = [p.metrics[name] for p in told if p.metrics for name in ("loss", "val_loss")]
    assert len(losses) >= 2
    assert all(math.isfinite(loss) for loss in losses)
    assert len(Recogniser(result.bundle).read([line_png("one")])) == 1
