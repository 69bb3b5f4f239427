"""What each part of the recipe is worth: the same small training again and again, one thing changed each time.

    python benchmarks/ablations.py LINES --max-lines 24000 --out build/ablations [--only 'two layers;32 bits']
    python benchmarks/ablations.py LINES --max-lines 40000 --base pretrained --only 'dropout 0.3;auxiliary decoder'

Everything is trained on the train lines and measured on all val lines, by best path; test lines are not touched.
Differences come with their paired 95 % bootstrap interval over lines, which says nothing about other seeds: the
row ``another seed`` shows how much chance alone moves. A variant that is done is not trained again.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from htr.bundle import Bundle
from htr.evaluate import evaluate
from htr.lines import LinesDataset
from htr.metrics import paired_bootstrap
from htr.model import PRESETS
from htr.pretrained import resolve
from htr.recogniser import Recogniser
from htr.settings import chooses_shape, training_config
from htr.synthesis import write_dataset
from htr.train import Progress, train

INVENTED_LINES, INVENTED_WRITERS = 4000, 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One way to train."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    invented: float = 0.0
    """Share of the budget that is spent on invented lines first."""


BASE = "recipe"
VARIANTS = {
    BASE: Variant(),
    "another seed": Variant(settings={"seed": 2}),
    "no distortions": Variant(settings={"augmentation": 0.0}),
    "half the distortions": Variant(settings={"augmentation": 0.5}),
    "one and a half times the distortions": Variant(settings={"augmentation": 1.5}),
    "dropout 0.3": Variant(settings={"model": {"dropout": 0.3}}),
    "dropout 0.3, auxiliary decoder": Variant(settings={"model": {"dropout": 0.3}, "auxiliary_weight": 0.3}),
    "auxiliary decoder": Variant(settings={"auxiliary_weight": 0.3}),
    "masking 10 %": Variant(settings={"masking": 0.1}),
    "joining 25 %": Variant(settings={"joining": 0.25}),
    "batches by lines": Variant(settings={"batches_by": "lines"}),
    "half the distortions, faster": Variant(settings={"augmentation": 0.5, "learning_rate": 5e-3}),
    "batches of 16": Variant(settings={"batch_size": 16}),
    "averaged weights": Variant(settings={"averaging": 0.998}),
    "32 bits": Variant(settings={"precision": "32"}),
    "no shortcut": Variant(settings={"shortcut_weight": 0.0}),
    "a third on invented lines first": Variant(invented=1 / 3),
    "width 256": Variant(settings={"model": {"width": 256}}),
    "two layers": Variant(settings={"model": {"layers": 2}}),
    "height 32": Variant(settings={"model": {"height": 32}}),
    "preset strong": Variant(settings={"model": PRESETS["strong"].to_dict()}),
    "preset gru": Variant(settings={"model": PRESETS["gru"].to_dict()}),
    "preset attention": Variant(settings={"model": PRESETS["attention"].to_dict()}),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a variant."""

    seconds: float
    lines_per_s: float
    """From the first batch on, validations included; of this machine as it was then."""
    edits: list[int]
    """Of every val line, in the dataset's order."""
    characters: list[int]

    @property
    def cer(self) -> float:
        """Return the character error rate."""
        return sum(self.edits) / max(1, sum(self.characters))


def main() -> None:
    """Train what was not trained yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", type=Path)
    parser.add_argument("--max-lines", type=int, default=24_000, help="lines shown to each")
    parser.add_argument("--out", type=Path, default=Path("build/ablations"))
    parser.add_argument("--only", help="names of variants, separated by semicolons; default: all")
    parser.add_argument("--base", help="bundle that all start from; its network keeps its shape; pretrained: ours")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    names = args.only.split(";") if args.only else list(VARIANTS)
    if unknown := sorted(set(names) - set(VARIANTS)):
        parser.error(f"unknown variants {unknown}; known: {list(VARIANTS)}")
    base = Bundle.open(resolve(args.base)) if args.base else None
    if base is not None and (shaped := sorted(name for name in names if needs_no_base(VARIANTS[name]))):
        parser.error(f"{shaped} choose a network's shape or beginning, which --base gives")
    dataset = LinesDataset.open(args.lines)
    run = f"{dataset.digest[7:15]}-{args.max_lines}-{args.seed}" + (f"-{base.digest[7:15]}" if base else "")
    found: dict[str, Outcome] = {}
    for name in dict.fromkeys([BASE, *names]):
        kept = args.out / run / name.replace(" ", "-")
        found[name] = outcome(name, dataset, kept, args.max_lines, args.seed, args.out / "store", base)
        print(row(name, found[name], found[BASE]), flush=True)
    print(f"\n| variant | lines/s | validation CER | against {BASE}, in points |\n|---|---|---|---|")
    for name, one in found.items():
        print(row(name, one, found[BASE]))


def needs_no_base(variant: Variant) -> bool:
    """Return whether a variant is about what a base brings with it."""
    return bool(variant.invented) or chooses_shape(variant.settings)


def outcome(
    name: str,
    dataset: LinesDataset,
    folder: Path,
    max_lines: int,
    seed: int,
    store: Path,
    base: Bundle | None = None,
) -> Outcome:
    """Train and measure a variant, or take what was measured before."""
    kept = folder / "outcome.json"
    if kept.is_file():
        return Outcome(**json.loads(kept.read_text(encoding="utf-8")))
    variant = VARIANTS[name]
    chosen = {**variant.settings, "seed": seed + 1} if "seed" in variant.settings else variant.settings
    settings = {"seed": seed, "max_lines": round(max_lines * (1 - variant.invented)), **chosen}
    if variant.invented:
        lines = folder / "invented"
        if not lines.is_dir():
            write_dataset(lines, num_lines=INVENTED_LINES, num_writers=INVENTED_WRITERS, seed=seed)
        first = {**settings, "max_lines": max_lines - settings["max_lines"]}
        bundle = folder / "first"
        if not bundle.is_dir():
            train(LinesDataset.open(lines), bundle, training_config(first), work=store, on_progress=_Shown(name))
        base = Bundle.open(bundle)
        # A full learning rate: real lines are another matter than invented ones, not a correction of them.
        settings["learning_rate"] = 2 * training_config(settings).learning_rate
    shown, began = _Shown(name), time.monotonic()
    if not (folder / "bundle").is_dir():
        config = training_config(settings)
        train(dataset, folder / "bundle", config, work=store, base=base, on_progress=shown)
    seconds = time.monotonic() - began
    read = evaluate(Recogniser.load(folder / "bundle"), dataset, ["val"]).lines
    found = {
        "seconds": seconds,
        "lines_per_s": shown.rate,
        "edits": [line.errors.edits for line in read],
        "characters": [line.errors.characters for line in read],
    }
    kept.write_text(json.dumps(found), encoding="utf-8")
    return Outcome(**found)


def row(name: str, one: Outcome, base: Outcome) -> str:
    """Return a variant's row of the table."""
    cells = [name, f"{one.lines_per_s:.0f}", f"{one.cer:.1%}"]
    if one is base:
        return f"| {' | '.join([*cells, ''])} |"
    points, low, high = (100 * x for x in paired_bootstrap(one.edits, base.edits, base.characters))
    return f"| {' | '.join([*cells, f'{points:+.1f} [{low:+.1f}, {high:+.1f}]'])} |"


class _Shown:
    """Tells how far a training is; remembers its rate."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told = 0.0
        self.rate = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.stage != "training":
            return
        self.rate = progress.rate or self.rate
        if progress.metrics or time.monotonic() - self._told > 10:
            self._told = time.monotonic()
            left = (progress.total - progress.done) / self.rate if self.rate else 0
            cer = f", validation CER {progress.metrics['val_cer']:.1%}" if progress.metrics else ""
            text = f"{progress.done:,} of {progress.total:,} lines, {self.rate:.0f} lines/s, {left:.0f} s left"
            sys.stderr.write(f"{self._name}: {text}{cer}\n")


if __name__ == "__main__":
    main()
