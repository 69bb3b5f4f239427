"""Rounds of faults, one JSON line each; exit status 1 if one went wrong."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.parts import parts
from tests.faults.rounds import Round, rounds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--first", type=int, default=0, help="to play one round again: its number, and --rounds one more"
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--registry", action="store_true", help="disturb what writes to MLflow instead")
    what.add_argument("--training", action="store_true", help="disturb small trainings instead")
    what.add_argument("--away", action="store_true", help="disturb S3, KFP and Prometheus instead")
    parser.add_argument("--only", default="", metavar="PART", help="with --away: of this part only")
    args = parser.parse_args()
    wrong = 0
    played: Iterator[Round]
    common: dict[str, Any] = {
        "seed": args.seed, "count": args.rounds, "seconds": args.seconds, "first": args.first
    }  # fmt: skip
    if args.away:
        from tests.faults.away import away_rounds  # kfp takes seconds to import, as do the others below

        played = away_rounds(args.folder, only=args.only, **common)
    else:
        if args.registry:
            from tests.faults.parts_registry import registry_parts

            disturbed = registry_parts(args.bundle, args.folder / "template")
        elif args.training:
            from tests.faults.parts_training import training_parts

            disturbed = training_parts(args.folder / "lines")
        else:
            disturbed = parts(args.bundle)
        played = rounds(disturbed, args.folder, **common)
    for one in played:
        wrong += bool(one.wrong)
        print(json.dumps(one.to_dict()), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
