"""The long run: python -m tests.fuzz --minutes 30 [--targets image csv] [--out build/fuzz].

Every target gets its share of the time: half of it for files that are broken at random, half led by coverage where
atheris is there. It says how many files each took and what broke a promise; those files lie in OUT/TARGET. Put
them into tests/corpus/TARGET, and mend what they broke. Exit status 1 where there are such.
"""

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
import time
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.mutations import mutants
from tests.fuzz.targets import TARGETS, Target

MOST_KEPT = 20
"""Files that break a promise, of one target, before it is given up."""


def main() -> int:
    """Fuzz, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--targets", nargs="+", choices=sorted(TARGETS), default=list(TARGETS))
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there, too")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    led = find_spec("atheris") is not None
    seconds = args.minutes * 60 / len(args.targets) / (2 if led else 1)
    print(f"seed {args.seed}; {'half of it led by coverage' if led else 'atheris is not there: at random only'}")
    total = bad = 0
    counts: dict[str, dict[str, object]] = {}
    for name in args.targets:
        target, out = TARGETS[name], args.out / name
        out.mkdir(parents=True, exist_ok=True)
        tried, broken = at_random(target, random.Random(f"{args.seed} {name}"), seconds, out)
        more, led_to = guided(target, seconds, out) if led else (0, [])
        broken += led_to
        total, bad = total + tried + more, bad + len(broken)
        counts[name] = {"at_random": tried, "led": more, "broken": broken}
        print(
            f"{name:14} {tried:8,} files at random, {more:8,} led by coverage, {len(broken)} broke a promise",
            flush=True,
        )
        for said in broken:
            print(f"    {said}")
    if args.json is not None:
        args.json.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    print(f"{total:,} files, {bad} broke a promise" + (f"; they lie in {args.out}" if bad else ""))
    return 1 if bad else 0


def at_random(target: Target, rng: random.Random, seconds: float, out: Path) -> tuple[int, list[str]]:
    """Break files at random for a while; return how many were tried, and what each bad one brought about."""
    until, tried = time.monotonic() + seconds, 0
    broken: dict[str, str] = {}
    for data in mutants(target.seeds, rng):
        if time.monotonic() > until or len(broken) >= MOST_KEPT:
            break
        tried += 1
        try:
            target.run(data)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            if kind not in broken:
                file = out / hashlib.sha256(data).hexdigest()[:16]
                file.write_bytes(data)
                broken[kind] = f"{file}: {kind}: {str(error)[:120]}"
    return tried, list(broken.values())


def guided(target: Target, seconds: float, out: Path) -> tuple[int, list[str]]:
    """Let coverage lead for a while; return the same as `at_random`."""
    corpus = out / "reached"
    corpus.mkdir(exist_ok=True)
    for data in target.seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    limits = [f"-max_total_time={max(1, round(seconds))}", "-timeout=30", "-rss_limit_mb=3000", "-max_len=20000"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", target.name, str(corpus), *limits, "-print_final_stats=1",
         f"-artifact_prefix={out}/"],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    counted = re.search(r"number_of_executed_units: (\d+)", done.stderr) or re.search(
        r"Done (\d+) runs", done.stderr
    )
    tried = int(counted[1]) if counted else 0
    if done.returncode == 0:
        return tried, []
    said = re.search(r"Uncaught Python exception: ===\n(.*)", done.stderr) or re.search(
        r"(ERROR: .*)", done.stderr
    )
    return tried, [f"{out}: {said[1][:200] if said else done.stderr[-300:]}"]


if __name__ == "__main__":
    sys.exit(main())
