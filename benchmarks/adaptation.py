"""How fast a model learns new hands: CER against corrected lines of a source that it never saw.

    python benchmarks/adaptation.py LINES --hand names --base pretrained --out build/adaptation

The base is trained on with 16, 64 and 256 corrected lines of the hand, mixed with old lines so that it does not
forget, exactly as a retraining does it. Measured by best path on all other lines of the hand, the same ones for
every point, and on the old hands' test lines. The smaller corrections are part of the larger.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from htr.bundle import Bundle, amend_bundle, short
from htr.evaluate import evaluate, rates
from htr.lines import CORRECTIONS, Line, LinesDataset, LinesWriter
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser
from htr.settings import training_config
from htr.train import Progress, train

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """What so many corrected lines led to."""

    corrected: int
    new_cer: float
    new_interval: tuple[float, float]
    new_exact: float
    old_cer: float
    old_interval: tuple[float, float]
    seconds: float
    """Of training, on this machine as it was then."""


def main() -> None:
    """Measure the points, print the table, draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", type=Path)
    parser.add_argument("--hand", default="names", help="source that the base never saw")
    parser.add_argument("--base", default=PRETRAINED, help="bundle")
    parser.add_argument("--corrected", default="16,64,256", help="numbers of corrected lines, ascending")
    parser.add_argument("--old-lines", type=int, default=1000, help="train lines of the other sources to mix in")
    parser.add_argument("--shown", type=int, default=6000, help="lines shown in each training")
    parser.add_argument("--keep", default="auto", help="which epoch: auto, best, last")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/adaptation"))
    args = parser.parse_args()
    numbers = sorted({int(number) for number in args.corrected.split(",")})
    dataset = LinesDataset.open(args.lines)
    hand, old = shuffled(dataset, args.hand, args.seed)
    if len(hand) < numbers[-1] + 50:
        parser.error(f"{args.lines}: {len(hand)} lines of source {args.hand!r}; needs {numbers[-1] + 50}")
    base = Bundle.open(resolve(args.base))
    out = args.out / f"{args.hand}-{short(base.digest)}-{short(dataset.digest)}-{numbers[-1]}-{args.seed}"
    judged = written(out / "judged", [replace(one, split="test") for one in hand[numbers[-1] :]])
    golden = written(out / "golden", [one for one in old if one.split == "test"])
    # A language model of the old hands' texts would tell of the texts, not of the hand.
    base = plain(base, out / "base")
    settings = {"seed": args.seed, "max_lines": args.shown, "keep": args.keep}
    mixed = [one for one in old if one.split == "train"][: args.old_lines]
    mixed += [one for one in old if one.split == "val"][:200]
    print(
        "| corrected | new hand CER | less by | exact | old hands CER | training, s |\n|---|---|---|---|---|---|"
    )
    points = [measured(0, base, judged, golden, 0.0)]
    say(points[0], points[0])
    for number in numbers:
        corrections = [replace(one, split="train", source=CORRECTIONS) for one in hand[:number]]
        lines = written(out / f"lines-{args.old_lines}-{number}", [*mixed, *corrections])
        began, bundle = time.monotonic(), out / f"bundle-{args.old_lines}-{args.shown}-{args.keep}-{number}"
        if not bundle.is_dir():
            config = training_config(settings)
            train(lines, bundle, config, work=out / "work", base=base, on_progress=Shown(number))
            (bundle.parent / f"{bundle.name}.seconds").write_text(str(time.monotonic() - began), encoding="utf-8")
        seconds = float((bundle.parent / f"{bundle.name}.seconds").read_text(encoding="utf-8"))
        points.append(measured(number, Bundle.open(bundle), judged, golden, seconds))
        say(points[-1], points[0])
    content = {
        "hand": args.hand,
        "base": base.digest,
        "judged": len(judged),
        "points": [asdict(p) for p in points],
    }
    (out / "adaptation.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
    draw(points, args.hand, out / "adaptation.png")
    print(f"{len(judged)} lines of the hand, {len(golden)} of the old ones; wrote {out / 'adaptation.png'}")


def shuffled(dataset: LinesDataset, hand: str, seed: int) -> tuple[list[Line], list[Line]]:
    """Return the lines of the hand, of all splits, and those of the other sources; each in a random order."""
    groups: tuple[list[Line], list[Line]] = ([], [])
    for line in dataset.lines():
        groups[line.source != hand].append(line)
    rng = np.random.default_rng(seed)
    hands, others = ([group[i] for i in rng.permutation(len(group))] for group in groups)
    return hands, others


def written(path: Path, lines: Sequence[Line]) -> LinesDataset:
    """Write a lines dataset, or take it where it is there."""
    if not path.is_dir():
        with LinesWriter(path) as writer:
            for line in lines:
                writer.add(line)
    return LinesDataset.open(path)


def plain(bundle: Bundle, path: Path) -> Bundle:
    """Return the bundle without its beam search."""
    return Bundle.open(path) if path.is_dir() else amend_bundle(bundle, path, {}, decoding=None)


def measured(number: int, bundle: Bundle, judged: LinesDataset, golden: LinesDataset, seconds: float) -> Point:
    """Read both sets of lines."""
    reader = Recogniser(bundle)
    new, old = (rates(evaluate(reader, lines, ["test"]).lines) for lines in (judged, golden))
    return Point(
        corrected=number,
        new_cer=new.cer,
        new_interval=new.cer_interval,
        new_exact=new.exact_match,
        old_cer=old.cer,
        old_interval=old.cer_interval,
        seconds=seconds,
    )


def say(point: Point, first: Point) -> None:
    """Print a point as a row."""
    fall = 1 - point.new_cer / first.new_cer
    new, old = (
        f"{cer:.1%} [{low:.1%}, {high:.1%}]"
        for cer, (low, high) in ((point.new_cer, point.new_interval), (point.old_cer, point.old_interval))
    )
    cells = [str(point.corrected), new, f"{fall:.0%}", f"{point.new_exact:.1%}", old, f"{point.seconds:.0f}"]
    print(f"| {' | '.join(cells)} |", flush=True)


def draw(points: Sequence[Point], hand: str, file: Path) -> None:
    """Draw the CER of the new and the old hands against the corrected lines."""
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    places = range(len(points))
    for label, colour, cers, intervals in (
        (f"new hand ({hand})", "#3b76c4", [p.new_cer for p in points], [p.new_interval for p in points]),
        ("old hands", "#d9822b", [p.old_cer for p in points], [p.old_interval for p in points]),
    ):
        lows, highs = zip(*intervals, strict=True)
        axis.plot(places, [100 * cer for cer in cers], marker="o", color=colour, label=label)
        axis.fill_between(places, [100 * x for x in lows], [100 * x for x in highs], color=colour, alpha=0.2)
    axis.set_xticks(places, [f"{point.corrected}" for point in points])
    axis.set_xlabel("corrected lines of the new hand")
    axis.set_ylabel("character error rate, %")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
    figure.savefig(file, dpi=120)
    plt.close(figure)


class Shown:
    """Tells how far a training is."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        """Say it every few seconds."""
        if progress.stage == "training" and time.monotonic() - self._told > 10:
            self._told = time.monotonic()
            left = (progress.total - progress.done) / progress.rate if progress.rate else 0
            sys.stderr.write(f"{self._number} corrected lines: {progress.done:,} shown, {left:.0f} s left\n")


if __name__ == "__main__":
    main()
