"""make trust: rounds of faults, attacks and promised tests; a table of what came of them, and build/trust.json."""

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

FORMAT_VERSION = 1


def main() -> int:
    """Play everything; return 0 where nothing went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=240, help="rounds of faults (%(default)s)")
    parser.add_argument("--seconds", type=float, default=900.0, help="at most for the rounds (%(default)s)")
    parser.add_argument("--no-tests", action="store_true", help="do not run the promised tests")
    parser.add_argument("--out", type=Path, default=Path("build/trust.json"))
    args = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quillflow-trust-") as name:
        folder = Path(name)
        bundle = untaught_bundle(folder / "bundle", seed=1)
        played = play_rounds(folder, bundle, args)
        tried = try_attacks(folder, bundle)
    proven, failed = ([], []) if args.no_tests else run_promised()
    wrong = [one for one in played if one["wrong"]] + [one for one in tried if not one["refused"]]
    result = {
        "format_version": FORMAT_VERSION,
        "seed": args.seed,
        "seconds": round(time.monotonic() - begun, 1),
        "rounds": len(played),
        "struck": sum(one["struck"] for one in played),
        "by_part": dict(sorted(Counter(one["part"] for one in played).items())),
        "by_fault": dict(sorted(Counter(one["fault"] for one in played).items())),
        "attacks": tried,
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
    """Play rounds of each kind: files by the hundred, MLflow and the server by the dozen."""
    few = max(1, args.rounds // 20)
    common = [str(folder / "files"), "--bundle", str(bundle), "--seed", str(args.seed)]
    played = faults([*common, "--rounds", str(args.rounds - 2 * few), "--seconds", str(args.seconds * 0.5)])
    common[0] = str(folder / "registry")
    played += faults([*common, "--registry", "--rounds", str(few), "--seconds", str(args.seconds * 0.3)])
    served = server_rounds(bundle, folder / "served", seed=args.seed, count=few, seconds=args.seconds * 0.2)
    played += [shown(one).to_dict() for one in served]
    return played


def faults(arguments: list[str]) -> list[dict[str, Any]]:
    """Play rounds in a process that has no threads, since they fork."""
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    quiet |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, "-m", "tests.faults", *arguments]
    played = []
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                played.append(shown(Round(**json.loads(line))).to_dict())
    if process.returncode not in {0, 1} or not played:
        raise SystemExit(f"error: the rounds ended with exit code {process.returncode}: {' '.join(command)}")
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
        ("promises", f"{result['promises']}, by {result['tests_passed']} tests that passed"),
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
