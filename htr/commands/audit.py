"""The command ``audit``: what is wrong with a lines dataset, for people and for pipelines."""

import argparse
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from htr.commands.shown import Progress, Say
from htr.errors import OutputError, SettingsError
from htr.lines import LinesDataset
from htr.pretrained import resolve

REPORT, LIST = "audit.html", "audit.jsonl"
FOUND = 1
"""Exit status where something was found that --fail-on names."""


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command; it sets ``handler`` to a function of (arguments, say) that returns an exit code."""
    audit = subparsers.add_parser(
        "audit",
        help="what is wrong with a lines dataset: copies, leaks, wrong labels, bad images",
        description="Look for copies and leaks between splits, labels that cannot be right and images that cannot "
        "be read. Writes DIR/audit.html and DIR/audit.jsonl. Exit status: 0 nothing found that --fail-on names, 1 "
        "something was, 2 no audit was made.",
    )
    audit.add_argument("lines", type=Path, metavar="LINES", help="the lines dataset")
    audit.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to create")
    audit.add_argument(
        "--model",
        metavar="BUNDLE",
        help="also rank labels by how much this model disagrees: a folder, or pretrained",
    )
    audit.add_argument(
        "--suspects",
        type=float,
        default=0.06,
        metavar="SHARE",
        help="list at most that share of the lines as mislabelled, 0 to 1; default: %(default)s",
    )
    audit.add_argument(
        "--fail-on",
        choices=("error", "warning", "never"),
        default="error",
        help="exit with 1 where there are such findings; default: %(default)s",
    )
    audit.set_defaults(handler=run_audit)


def run_audit(args: argparse.Namespace, say: Say) -> int:
    """Handle ``audit``."""
    from htr.audit.findings import audit_rows  # ONNX Runtime and the rules take a while to import
    from htr.audit.page import audit_page
    from htr.audit.run import audit_lines, each_rule
    from htr.recogniser import Recogniser

    if not 0 <= args.suspects <= 1:
        raise SettingsError(f"suspects must be within 0..1, got {args.suspects}")
    dataset = LinesDataset.open(args.lines)
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise OutputError(f"{args.out}: already there; remove it or choose another --out")
    recogniser = Recogniser.load(resolve(args.model)) if args.model else None
    shown: dict[str, Progress] = {}
    audit = audit_lines(
        dataset,
        recogniser=recogniser,
        suspect_share=args.suspects,
        on_progress=lambda name, done, total: (shown.get(name) or shown.setdefault(name, Progress(name)))(
            done, total
        ),
    )
    _write(args.out, {REPORT: [audit_page(audit, dataset)], LIST: audit_rows(audit)})
    for rule, found in each_rule(audit):
        if found:
            lines = len({line_id for one in found for line_id in one.ids})
            say(f"{rule.severity:8} {rule.name}: {len(found)} ({lines} lines); {rule.remedy}")
    errors, warnings = audit.count("error"), audit.count("warning")
    say(f"{errors} errors and {warnings} warnings in {audit.num_lines} lines, by {len(audit.rules)} rules")
    say(f"wrote {args.out / REPORT} and {args.out / LIST}")
    failed = {"error": errors, "warning": errors + warnings, "never": 0}[args.fail_on]
    return FOUND if failed else 0


def _write(out: Path, files: Mapping[str, Iterable[str]]) -> None:
    """Write a folder whole or not at all."""
    partial = out.parent / f".{out.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, pieces in files.items():
            with (partial / name).open("w", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(pieces)
        if out.is_dir():
            out.rmdir()  # empty: checked before
        partial.replace(out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
