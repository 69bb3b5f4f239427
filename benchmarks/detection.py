"""What a drift verdict finds on windows of 200 lines, and what it leaves alone; Evidently's default beside it.

    python -m benchmarks.detection --cache FILE [--windows 100]

The reference is drawn from plain held-out lines that are not in the window. A change that raises the character
error rate by 25 % or more, relatively, has to be found in nine of ten windows; a benign one may alarm in one of
twenty.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.drift_cases import BENIGN, UNSEEN, load
from benchmarks.false_alarms import REFERENCE_ROWS, evidentlys
from htr.corruptions import CORRUPTIONS
from htr.error_fit import STRENGTHS
from monitoring.drift import compare

ALPHA = 0.01
ROWS = 200
FOREIGN_ROWS = 50
"""English lines of a window, all unseen ones that there are; the others are French."""
HARMFUL_RISE = 0.25

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A change: where a window's rows come from, and what the reference may hold."""

    name: str
    window: Mask
    reference: Mask
    mixed_with: Mask | None = None
    """Plain rows that fill the window up."""


def main() -> None:
    """Print one row a change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=100)
    args = parser.parse_args()
    table = load(args.cache)
    print(
        f"{args.windows} windows of {ROWS} rows, reference of {REFERENCE_ROWS} rows at most, alpha {ALPHA:.0%}\n"
    )
    print(
        "| change | CER before | CER | found | Evidently's default | most often named |\n|---|---|---|---|---|---|"
    )
    for case in cases(table):
        print(row(table, case, args.windows), flush=True)


def cases(table: pa.Table) -> Iterator[Case]:
    """Yield every change."""
    source, kind, name = (np.array(table[column].to_pylist()) for column in ("source", "kind", "case"))
    language = np.array(table["language"].to_pylist())
    plain = (kind == "plain") & (source != UNSEEN) & (language == "fra")
    yield Case(name="nothing", window=plain, reference=plain)
    yield Case(name="an unseen hand (names)", window=(kind == "plain") & (source == UNSEEN), reference=plain)
    yield Case(
        name="another century (1914-18 against 2024)",
        window=plain & (source == "poilus"),
        reference=plain & (source == "copiste"),
    )
    yield Case(
        name=f"another language (English, {FOREIGN_ROWS} of {ROWS} lines)",
        window=(kind == "plain") & (language == "eng"),
        reference=plain,
        mixed_with=plain,
    )
    for spoilt in CORRUPTIONS:
        for strength in STRENGTHS:
            wanted = f"{spoilt} {strength:g}"
            yield Case(name=wanted, window=(name == wanted) & (language == "fra"), reference=plain)
    for benign in BENIGN:
        yield Case(name=f"{benign} (benign)", window=(kind == benign) & (language == "fra"), reference=plain)


def row(table: pa.Table, case: Case, windows: int) -> str:
    """Return a line of the table."""
    edits, characters = (np.array(table[column].to_pylist()) for column in ("edits", "characters"))
    ids = np.array(table["id"].to_pylist())
    found = theirs = 0
    named: Counter[str] = Counter()
    before, after = np.zeros(2), np.zeros(2)
    for seed in range(windows):
        window, reference = draw(case, ids, np.random.default_rng(seed))
        verdict, _ = compare(table.take(reference), table.take(window), alpha=ALPHA)
        found += verdict.state == "drift"
        theirs += evidentlys(table.take(reference), table.take(window))
        named.update(feature.name for feature in verdict.drifted[:3])
        before += edits[reference].sum(), characters[reference].sum()
        after += edits[window].sum(), characters[window].sum()
    rates = before[0] / before[1], after[0] / after[1]
    mark = "" if rates[1] < rates[0] * (1 + HARMFUL_RISE) or found >= 0.9 * windows else " (missed)"
    often = ", ".join(name for name, _ in named.most_common(3))
    shares = f"{found / windows:.0%}{mark} | {theirs / windows:.0%}"
    return f"| {case.name} | {rates[0]:.1%} | {rates[1]:.1%} | {shares} | {often} |"


def draw(case: Case, ids: npt.NDArray[np.str_], rng: np.random.Generator) -> tuple[Places, Places]:
    """Return the rows of a window and of a reference that holds none of its lines."""
    own = FOREIGN_ROWS if case.mixed_with is not None else ROWS
    window = rng.choice(np.flatnonzero(case.window), own, replace=False)
    if case.mixed_with is not None:
        window = np.concatenate([window, rng.choice(np.flatnonzero(case.mixed_with), ROWS - own, replace=False)])
    left = np.flatnonzero(case.reference & ~np.isin(ids, ids[window]))
    return window, rng.permutation(left)[:REFERENCE_ROWS]


if __name__ == "__main__":
    main()
