"""How far off the label-free error rate is, on kinds of lines that the fit did not see.

    python -m benchmarks.estimated_cer --cache FILE

FILE comes from `benchmarks.drift_cases`. For every subset: fitted without it, tried on its held-out lines. For
every kind of spoiling: fitted without it on lines of split val, tried on lines of split test, which the fit saw in
no form. The limit to hold is 5 points of mean absolute error over all cases.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.drift_cases import BENIGN, UNSEEN, load
from htr.corruptions import CORRUPTIONS
from htr.error_fit import STRENGTHS, Readings, fit_readings
from htr.error_model import TRANSFORMS
from htr.profile import Profile

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is fitted on, and what is tried."""

    name: str
    fitted: Mask
    tried: tuple[tuple[str, Mask], ...]
    """Name and rows of each case."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One case."""

    group: str
    name: str
    lines: int
    estimated: float
    low: float
    high: float
    measured: float
    outside: float
    """Share of the lines beyond what it was fitted on."""

    @property
    def off(self) -> float:
        """Absolute error."""
        return abs(self.estimated - self.measured)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    table = load(parser.parse_args().cache)
    outcomes = [outcome for trial in trials(table) for outcome in tried(table, trial)]
    print(
        "| case | lines | estimated | 90 % interval | measured | off by | outside |\n|---|---|---|---|---|---|---|"
    )
    for one in outcomes:
        inside = "" if one.low <= one.measured <= one.high else " (outside)"
        cells = f"{one.estimated:.1%} | {one.low:.1%} to {one.high:.1%}{inside} | {one.measured:.1%}"
        print(f"| {one.name} | {one.lines} | {cells} | {100 * one.off:.1f} | {one.outside:.0%} |")
    print("\n| cases | number | mean absolute error, points | within the interval |\n|---|---|---|---|")
    subsets = [one for one in outcomes if one.group == "subset"]
    spoilt = [one for one in outcomes if one.group in CORRUPTIONS]
    groups = {
        "subsets left out": subsets,
        f"the same but {UNSEEN}": [one for one in subsets if UNSEEN not in one.name],
        "kinds of spoiling left out": spoilt,
        "benign": [one for one in outcomes if one.group == "benign"],
        "subsets and spoiling": [*subsets, *spoilt],
    }
    for name, group in groups.items():
        inside = np.mean([one.low <= one.measured <= one.high for one in group])
        print(f"| {name} | {len(group)} | {100 * np.mean([one.off for one in group]):.1f} | {inside:.0%} |")


def trials(table: pa.Table) -> Iterator[Trial]:
    """Yield what is fitted on and what is tried."""
    source, split, kind, case = (np.array(table[c].to_pylist()) for c in ("source", "split", "kind", "case"))
    known, plain = source != UNSEEN, kind == "plain"
    usable = known & (split == "val") & ~np.isin(kind, list(BENIGN))
    for subset in np.unique(source):
        held_out = plain & (source == subset) & (split != "train")
        yield Trial(name="subset", fitted=usable & (source != subset), tried=((f"subset {subset}", held_out),))
    for spoilt in CORRUPTIONS:
        cases = (f"{spoilt} {strength:g}" for strength in STRENGTHS)
        masks = tuple((name, (case == name) & (split == "test")) for name in cases)
        yield Trial(name=spoilt, fitted=usable & (kind != spoilt), tried=masks)
    masks = tuple((name, (kind == name) & (split == "test") & known) for name in ("plain", *BENIGN))
    yield Trial(name="benign", fitted=usable, tried=masks)


def tried(table: pa.Table, trial: Trial) -> Iterator[Outcome]:
    """Fit, and estimate every case."""
    model = fit_readings(readings(table.filter(pa.array(trial.fitted))))
    for name, mask in trial.tried:
        rows = table.filter(pa.array(mask))
        columns = {n: rows[n].to_numpy() for n in (*TRANSFORMS, "num_characters")}
        estimated = model.cer(columns)
        low, high = model.interval(estimated)
        measured = rows["edits"].to_numpy().sum() / rows["characters"].to_numpy().sum()
        yield Outcome(
            group=trial.name,
            name=name,
            lines=len(rows),
            estimated=estimated,
            low=low,
            high=high,
            measured=measured,
            outside=model.outside(columns),
        )


def readings(table: pa.Table) -> Readings:
    """Return the rows as what an error model is fitted on."""
    rows = table.to_pylist()
    return Readings(
        profiles=[Profile.of_row(row) for row in rows],
        edits=[row["edits"] for row in rows],
        characters=[row["characters"] for row in rows],
        kinds=["" if row["kind"] == "plain" else row["kind"] for row in rows],
        strengths=[row["strength"] for row in rows],
        sources=[row["source"] for row in rows],
        writers=[row["writer"] or row["id"] for row in rows],
    )


if __name__ == "__main__":
    main()
