"""What becomes visible only between lines: unseen characters, writers and pages in two splits, images twice.

Each function adds columns to the lines table of `components.validate.tables`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from htr.audit.copies import near_copies
from htr.audit.ledger import Ledger, is_judged
from htr.audit.measures import Measured
from htr.audit.spill import spilled_greys
from htr.lines import LinesDataset

if TYPE_CHECKING:
    import pandas as pd


def add_coverage(table: "pd.DataFrame") -> None:
    """Add, for each line outside train, which of its characters train never shows (``unseen``), and how many."""
    known = set().union(*table.loc[table["split"] == "train", "text"])
    unseen = [
        "" if split == "train" else "".join(c for c in text if c not in known)
        for text, split in zip(table["text"], table["split"], strict=True)
    ]
    table["unseen"] = ["".join(sorted(set(characters))) for characters in unseen]
    table["num_unseen"] = [len(characters) for characters in unseen]


def unseen_characters(table: "pd.DataFrame") -> list[str]:
    """Return the characters that train never shows, those of the most lines first."""
    return [c for c, _ in Counter(c for characters in table["unseen"] for c in characters).most_common()]


def add_places(table: "pd.DataFrame") -> None:
    """Add the splits that a line's writer and page occur in; "" where the line is exempt or names none.

    A page is known by its name within its source: many collections have a page 1.
    """
    pairs = zip(table["split"], table["source"], strict=True)
    judged = table[np.array([is_judged(split=split, source=source) for split, source in pairs], dtype=bool)]
    for name, key in (("writer", ["writer"]), ("page", ["source", "page"])):
        named = judged[judged[name] != ""]
        places = {key: _places(group) for key, group in named.groupby(key)["split"]}
        table[f"{name}_splits"] = ""
        table.loc[named.index, f"{name}_splits"] = [
            places[values] for values in named[key].itertuples(index=False, name=None)
        ]


def add_copies(table: "pd.DataFrame") -> None:
    """Add where a line's very image occurs again, how often in its own split, and with how many texts."""
    table["image_splits"], table["image_copies"], table["image_texts"] = "", 1, 1
    twins = table[table["image_sha256"].notna() & table["image_sha256"].duplicated(keep=False)]
    if twins.empty:
        return
    groups = twins.groupby("image_sha256")
    splits = {sha256: _places(group) for sha256, group in groups["split"]}
    table.loc[twins.index, "image_splits"] = twins["image_sha256"].map(splits)
    table.loc[twins.index, "image_copies"] = twins.groupby(["image_sha256", "split"])["split"].transform("size")
    table.loc[twins.index, "image_texts"] = groups["text"].transform("nunique")


def add_near_copies(table: "pd.DataFrame", lines: Sequence[Measured], dataset: LinesDataset) -> None:
    """Add the splits that a line's image occurs in once more, saved, scaled or cut anew; "" where it does not."""
    table["near_copy_splits"] = ""
    for copies in near_copies(Ledger.of(lines), lambda rows: spilled_greys(dataset, rows)):
        table.loc[list(copies.rows), "near_copy_splits"] = _places(table.loc[list(copies.rows), "split"])


def _places(splits: "pd.Series[str]") -> str:
    return " and ".join(sorted(set(splits)))
