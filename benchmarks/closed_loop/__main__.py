"""The closed loop on real handwriting, as one command.

    python -m benchmarks.closed_loop LINES --hand repert --root build/closed-loop

A model is trained without one source of the lines. It serves; then that source arrives. The drift check raises an
alert, the governor asks for lines, these are corrected through the server, and one training follows, whose result
takes over if the gate lets it. All parts are those that serve. Two things stand in for people and for a cluster:
the corrections are the texts that the lines came with, and the alert is sent as Alertmanager sends it
(tests/integration/test_alerts.py has Prometheus and Alertmanager themselves).

ROOT/closed-loop.json has all facts, ROOT/closed-loop.png the figure. The first training is kept: the command goes
on there, and tells the rest anew. Exit status 1: a bar was missed, and the table says which.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.closed_loop.figure import draw
from benchmarks.closed_loop.settings import Settings
from benchmarks.closed_loop.story import Story
from htr.errors import DataError, QuillflowError
from htr.lines import LinesDataset, LinesWriter
from pipelines.children import run_told, stop_on_signals
from pipelines.commit import git_commit
from pipelines.summary import Screen

SHARED = Path("../shared/data")
LEFT_OUT = "names"
"""Source of the shared lot whose labels leave out what is printed on its forms."""
FACTS, FIGURE = "closed-loop.json", "closed-loop.png"
NEW_HAND_FALL = 0.30
"""Least relative fall of the CER on lines of the new hand that nobody corrected."""
OLD_HANDS_RISE = 0.005
"""Largest rise of the CER on the old hands' test lines."""
BASE_SETTINGS = {"augmentation": 0.5, "warmup_share": 0.05, "learning_rate": 0.005}
RETRAIN_SETTINGS = {"augmentation": 1.0, "warmup_share": 0.05, "learning_rate": 0.004, "correction_share": 0.3}


def main(argv: Sequence[str] | None = None) -> int:
    """Tell the story; return 0, 1 where a bar was missed, 2 for an error."""
    args = _parser().parse_args(argv)
    stop_on_signals()
    settings = Settings(
        hand=args.hand,
        seed=args.seed,
        budget=args.budget,
        base_settings={**BASE_SETTINGS, **args.settings},
        retrain_budget=args.retrain_budget,
        retrain_settings={**RETRAIN_SETTINGS, **args.retrain_settings},
        margin=args.margin,
        held_back=args.held_back,
        corrections=args.corrections,
    )
    screen = Screen(lambda text: print(text, flush=True))
    try:
        story = Story(root=args.root.resolve(), settings=settings, git_commit=git_commit(), screen=screen)
        began = time.monotonic()
        facts = story.tell(LinesDataset.open(_lines(args.lines, args.root, screen)))
        facts |= {"seconds": round(time.monotonic() - began), "bars": bars(facts)}
        (args.root / FACTS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if facts["promoted"]:
            draw(facts, args.root / FIGURE)
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    screen.plain("")
    for told, met in facts["bars"]:
        screen.plain(f"  {'met   ' if met else 'MISSED'}  {told}")
    screen.plain(f"  facts   {args.root / FACTS}" + f"\n  figure  {args.root / FIGURE}" * facts["promoted"])
    return 0 if all(met for _, met in facts["bars"]) else 1


def bars(facts: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return what must be shown, and whether it was."""
    alarm, request, ended = facts["alarm"], facts["request"], facts["ended"]
    found = [
        (
            f"drift alarm: {alarm['alert']['drifted_windows']} windows of the last {alarm['alert']['windows']}",
            True,
        ),
        (f"lines asked for: {request['lines']}, {request['sample']} of them by lot", request["lines"] > 0),
        (
            f"one training: {facts['trainings']} begun, {[one['result'] for one in ended]}",
            facts["trainings"] == 1 and [one["result"] for one in ended] == ["promoted"],
        ),
        (
            f"asked again {len(facts['asked_again'])} times: {[one['decision'] for one in facts['asked_again']]}",
            all(one["decision"] == "ignore" for one in facts["asked_again"]),
        ),
        (f"promoted: {facts['gate']['reason'] if facts['gate'] else 'no training ended'}", facts["promoted"]),
    ]
    if facts["promoted"]:
        new, old = facts["new_hand"], facts["old_hands"]
        told = f"CER {new['before']:.1%} before, {new['after']:.1%} after on {new['lines']} lines"
        found.append(
            (
                f"new hand: {told}, {new['relative']:+.0%} (wanted: -{NEW_HAND_FALL:.0%} or less)",
                new["relative"] <= -NEW_HAND_FALL,
            )
        )
        told = f"CER {old['before']:.1%} before, {old['after']:.1%} after on {old['lines']} lines"
        rise = 100 * old["difference"]
        found.append(
            (
                f"old hands: {told}, {rise:+.1f} points (wanted: at most {100 * OLD_HANDS_RISE:+.1f})",
                old["difference"] <= OLD_HANDS_RISE,
            )
        )
    return found


def _lines(given: Path | None, root: Path, screen: Screen) -> Path:
    """Return the lines dataset that is meant; without one the shared lot, if it lies beside the project."""
    if given is not None:
        return given
    manifest = SHARED / "manifest.csv"
    if not manifest.is_file():
        raise DataError(
            "give a lines dataset with several sources: make drift-demo LINES=my-lines ARGS='--hand SOURCE'; "
            "docs/your-own-lines.md says how to import one"
        )
    whole, lines = root / "whole-lot", root / "lot"
    if not whole.is_dir():
        screen.step(f"Importing {manifest}")
        run_told(["htr", "import", "manifest", manifest.resolve(), "--out", whole.resolve()], screen.note)
    if not lines.is_dir():
        with LinesWriter(lines) as writer:
            for line in LinesDataset.open(whole).lines():
                if line.source != LEFT_OUT:
                    writer.add(line)
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop", description=__doc__.splitlines()[0])
    parser.add_argument("lines", type=Path, nargs="?", help="lines dataset with several sources")
    parser.add_argument("--hand", default="repert", help="source that arrives later (default %(default)s)")
    parser.add_argument("--root", type=Path, default=Path("build/closed-loop"), help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--budget", type=int, default=60_000, help="lines shown in the first training (%(default)s)"
    )
    parser.add_argument("--settings", type=json.loads, default={}, help="more training settings of it, JSON")
    parser.add_argument("--retrain-budget", type=int, default=100_000, help="and in the second (%(default)s)")
    parser.add_argument("--retrain-settings", type=json.loads, default={}, help="more of its settings, JSON")
    parser.add_argument("--corrections", type=int, default=128, help="lines that are corrected (%(default)s)")
    parser.add_argument("--margin", type=float, default=0.02, help="the gate's, on old hands (%(default)s)")
    parser.add_argument(
        "--held-back", type=float, default=0.4, help="share of the sample that only the gate sees (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
