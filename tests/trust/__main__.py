"""make trust: rounds of faults, attacks, broken files, a short soak, promised tests; a table; build/trust.json."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.rounds import Round
from tests.faults.server import server_rounds
from tests.servers import ROOT, model_server, untaught_bundle
from tests.trust.attacks import ATTACKS, Ground
from tests.trust.promises import promised_tests, rows

FORMAT_VERSION = 2
"""Version 1 knew no broken files and no soak."""
SLOW = 20
"""One round of so many is of each part that takes seconds a round."""


def main() -> int:
    """Play everything; return 0 where nothing went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=220, help="rounds of faults (%(default)s)")
    parser.add_argument("--seconds", type=float, default=900.0, help="at most for the rounds (%(default)s)")
    parser.add_argument("--fuzz-minutes", type=float, default=2.0, help="of broken files (%(default)s)")
    parser.add_argument("--soak-minutes", type=float, default=0.75, help="of the services at work (%(default)s)")
    parser.add_argument("--no-tests", action="store_true", help="do not run the promised tests")
    parser.add_argument("--out", type=Path, default=Path("build/trust.json"))
    args = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quillflow-trust-") as name:
        folder = Path(name)
        bundle = untaught_bundle(folder / "bundle", seed=1)
        played = play_rounds(folder, bundle, args)
        tried = try_attacks(folder, bundle)
        broken = break_files(folder, args)
        soaked = soak(folder, args)
    proven, failed = ([], []) if args.no_tests else run_promised()
    wrong = [one for one in played if one["wrong"]] + [one for one in tried if not one["refused"]]
    wrong += [{"target": name, **one} for name, one in broken.items() if one["broken"]]
    wrong += [{"soak": name} for name, holds in soaked.get("checks", {}).items() if not holds]
    result = {
        "format_version": FORMAT_VERSION,
        "seed": args.seed,
        "seconds": round(time.monotonic() - begun, 1),
        "rounds": len(played),
        "struck": sum(one["struck"] for one in played),
        "by_part": dict(sorted(Counter(one["part"] for one in played).items())),
        "by_fault": dict(sorted(Counter(one["fault"] for one in played).items())),
        "attacks": tried,
        "inputs": {name: one["at_random"] + one["led"] for name, one in broken.items()},
        "soak": soaked,
        "promises": len(rows()),
        "tests_passed": len(proven),
        "tests_failed": failed,
        "findings": wrong,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show(result)
    return 1 if wrong or failed else 0


def play_rounds(folder: Path, bundle: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Play rounds of each kind: of files by the hundred, of what takes seconds a round by the dozen."""
    few = max(1, args.rounds // SLOW)
    slow = [("--registry", 2, 0.25), ("--training", 1, 0.15), ("--away", 4, 0.25)]
    num_slow = few * (sum(parts for _, parts, _ in slow) + 1)
    played = faults(folder / "files", bundle, args, args.rounds - num_slow, 0.2)
    for flag, parts, share in slow:
        played += faults(folder / flag[2:], bundle, args, few * parts, share, flag)
    served = server_rounds(bundle, folder / "served", seed=args.seed, count=few, seconds=args.seconds * 0.15)
    played += [shown(one).to_dict() for one in served]
    return played


def faults(
    folder: Path, bundle: Path, args: argparse.Namespace, rounds: int, share: float, *flags: str
) -> list[dict[str, Any]]:
    """Play rounds in a process that has no threads, since they fork; share: of the seconds."""
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    quiet |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, "-m", "tests.faults", str(folder), "--bundle", str(bundle), *flags]
    command += ["--seed", str(args.seed), "--rounds", str(rounds), "--seconds", str(args.seconds * share)]
    played, begun = [], time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                played.append(shown(Round(**json.loads(line))).to_dict())
    if process.returncode not in {0, 1} or not played:
        raise SystemExit(f"error: the rounds ended with exit code {process.returncode}: {' '.join(command)}")
    say(f"{folder.name}: {len(played)} rounds of {rounds} in {time.monotonic() - begun:.0f} s")
    return played


def shown(one: Round) -> Round:
    """Show a round that went wrong at once."""
    for said in one.wrong:
        say(f"WRONG: {one.part}, {one.fault}, round {one.seed} at {one.place}: {said}")
    return one


def try_attacks(folder: Path, bundle: Path) -> list[dict[str, Any]]:
    """Try every attack on a real server and in this process."""
    tried = []
    kept = ("--corrections", str(folder / "corrections"), "--threads", "1")
    with model_server("--bundle", str(bundle), *kept) as server:
        ground = Ground(folder=folder, bundle=bundle, server=server)
        for name, attack in ATTACKS.items():
            try:
                reason, refused = attack(ground), True
            except AssertionError as error:
                reason, refused = f"NOT REFUSED: {error}", False
            tried.append({"attack": name, "refused": refused, "reason": reason.replace(str(folder), "...")})
    return tried


def break_files(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Break files for a while; return counts by target."""
    if not args.fuzz_minutes:
        return {}
    counts = folder / "fuzz.json"
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", str(args.fuzz_minutes), "--seed", str(args.seed)]
    command += ["--out", "build/fuzz", "--json", str(counts)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not counts.exists():
        raise SystemExit(f"error: breaking files ended with exit code {done.returncode}: {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(counts.read_text(encoding="utf-8"))
    say(f"files: {done.stdout.strip().splitlines()[-1]}")
    return found


def soak(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Let the services work for a while; return checks and trends."""
    if not args.soak_minutes:
        return {}
    out = folder / "soak.json"
    command = [sys.executable, "-m", "benchmarks.soak", "--minutes", str(args.soak_minutes), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not out.exists():
        raise SystemExit(f"error: the soak ended with exit code {done.returncode}: {done.stderr[-500:]}")
    facts = json.loads(out.read_text(encoding="utf-8"))
    return {name: facts[name] for name in ("minutes", "statuses", "checks", "trends")}


def run_promised() -> tuple[list[str], list[str]]:
    """Run every test that a promise names; return which passed and which did not."""
    named = sorted({f"{file}::{name}" for file, name in promised_tests()})
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-rA", "--no-header", *named]
    environment = os.environ | {"QUILLFLOW_TRUST": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    passed = {line.split()[1].partition("[")[0] for line in lines if line.startswith("PASSED ")}
    bad = {line.split()[1].partition("[")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))}
    return sorted(passed - bad), sorted((set(named) - passed) | bad)


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    width = max(len(one["attack"]) for one in result["attacks"])
    for one in result["attacks"]:
        say(f"  {one['attack']:{width}}  {'refused' if one['refused'] else 'TAKEN'}: {one['reason'][:110]}")
    say("")
    for name, value in (
        ("rounds of faults", f"{result['rounds']}, of which {result['struck']} struck the part at work"),
        ("by part", ", ".join(f"{count} {part}" for part, count in result["by_part"].items())),
        ("by fault", ", ".join(f"{count} {fault}" for fault, count in result["by_fault"].items())),
        ("attacks", f"{len(result['attacks'])}, refused {sum(one['refused'] for one in result['attacks'])}"),
        ("broken files", f"{sum(result['inputs'].values()):,} of {len(result['inputs'])} kinds"),
        (
            "soak",
            f"{sum(result['soak'].get('checks', {}).values())} of {len(result['soak'].get('checks', {}))} hold",
        ),
        ("promises", f"{result['promises']}, {result['tests_passed']} of their tests ran and passed"),
        ("tests that failed", ", ".join(result["tests_failed"]) or "none"),
        ("open findings", str(len(result["findings"]))),
        ("time", f"{result['seconds']:.0f} s"),
    ):
        say(f"  {name:18} {value}")


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
