"""What is fuzzed. A new target needs a function of bytes, sound bytes to begin with, and a line in TARGETS."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.fuzz import importers

CORPUS = Path(__file__).resolve().parents[1] / "corpus"


@dataclass(frozen=True)
class Target:
    """Something that takes bytes from strangers."""

    name: str
    run: Callable[[bytes], None]
    """Raises where a promise is broken, and only there."""
    sound: Callable[[], list[bytes]]

    @cached_property
    def seeds(self) -> list[bytes]:
        """Sound files, then those of the corpus in the order of their names."""
        return [*self.sound(), *(path.read_bytes() for path in sorted((CORPUS / self.name).glob("*")))]


TARGETS = {
    target.name: target
    for target in (
        Target("image", importers.image, importers.sound_images),
        Target("page_xml", importers.page_xml, importers.sound_pages),
        Target("csv", importers.csv_table, importers.sound_tables),
        Target("jsonl", importers.json_lines, importers.sound_json_lines),
        Target("names_csv", importers.names_csv, importers.sound_names),
        Target("iam", importers.iam, importers.sound_iam),
        Target("gt_txt", importers.gt_txt, importers.sound_texts),
        Target("parquet", importers.parquet, importers.sound_parquet),
        Target("tar", importers.tar, importers.sound_tars),
        Target("policy", importers.policy, importers.sound_policies),
        Target("dataset_json", importers.dataset_json, importers.sound_dataset_json),
        Target("shard", importers.shard, importers.sound_shards),
    )
}
