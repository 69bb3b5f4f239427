"""Rounds of faults, one JSON line each; exit status 1 if one went wrong."""

import argparse
import json
import sys
from pathlib import Path

from tests.faults.parts import parts
from tests.faults.rounds import rounds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--registry", action="store_true", help="disturb what writes to MLflow instead")
    args = parser.parse_args()
    wrong = 0
    if args.registry:
        from tests.faults.parts_registry import registry_parts  # MLflow takes seconds to import

        disturbed = registry_parts(args.bundle, args.folder / "template")
    else:
        disturbed = parts(args.bundle)
    played = rounds(disturbed, args.folder, seed=args.seed, count=args.rounds, seconds=args.seconds)
    for one in played:
        wrong += bool(one.wrong)
        print(json.dumps(one.to_dict()), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
