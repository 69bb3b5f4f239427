"""python -m serving forget: somebody asks that his lines be erased, and they are.

From prediction log and image log, from the corrections, from datasets made from them and all others below the
folders, from lists of lines to be corrected, and from training's files of decoded lines. A tombstone without
personal content keeps a correction from coming back. What is left is listed: reports that name a line. Of folders
that belong to several tenants nothing is read.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from htr.erasure import Found, Wanted, erase
from htr.errors import QuillflowError
from htr.tenants import Tenant
from htr.versions import open_store

FORMAT_VERSION = 1


def main(argv: list[str]) -> int:
    """Erase; return the exit status: 0 done, 1 nothing of that name, 2 a mistake that the message explains."""
    args = _parser().parse_args(argv)
    try:
        tenant = Tenant.of(os.environ)
        tenant.check_options(vars(args).values())
        for root in args.root:  # a writer of the same name may be somebody else's
            tenant.check_all_below(root)
        wanted = Wanted(request=args.request or "", writer=args.writer or "")
        store = open_store(args.store) if args.store else None
        found = erase(args.root, wanted, time=datetime.now(UTC), dry_run=args.dry_run, store=store)
    except QuillflowError as error:
        _say(f"error: {error}", error=True)
        return 2
    if args.json:
        _say(json.dumps({"format_version": FORMAT_VERSION, "dry_run": args.dry_run, **asdict(found)}, indent=2))
    else:
        for line in _told(found, dry_run=args.dry_run):
            _say(line)
    return 0 if found.total() else 1


def _told(found: Found, *, dry_run: bool) -> list[str]:
    done = "would be erased" if dry_run else "erased"
    counts = {
        "corrections": found.corrections,
        "images of the image log": found.images,
        "rows of the prediction log": found.rows,
        "lines of datasets": found.lines,
        "lines that people were asked to correct": found.requests,
        "files of decoded lines": found.caches,
    }
    told = [f"{done}: {count} {what}" for what, count in counts.items() if count]
    told += [f"dataset {one}: train again where a model learnt from it" for one in found.datasets]
    for one in found.versions:
        named = f", which {', '.join(one.names)} stands for" if one.names else ""
        told.append(f"{done}: lines version {one.digest}{named}, with {one.lines} of the lines")
    if found.versions:
        told.append("publish the dataset anew without them under the same name, and train again")
    told += [f"bundle version {one}: learnt from one of these; train again, then erase it" for one in found.learnt]
    if found.kept_by_bucket:
        told.append(
            "the bucket keeps old versions of objects: what was removed is there until they are removed, too"
        )
    told += [f"left, since it is a report or a log that names a line: {one}" for one in found.mentions]
    return told or ["nothing of that name is there; rows may wait in a running server for some seconds"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving forget", description=__doc__)
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--request", metavar="ID", help="all lines of a request, by its request_id")
    whose.add_argument(
        "--writer", metavar="NAME", help="all lines of a writer, as corrections and datasets name him"
    )
    parser.add_argument(
        "--root", type=Path, action="append", required=True, metavar="DIR",
        help="folder to erase below: logs, corrections, datasets, the governor's state; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--store", metavar="ADDRESS",
        help="store of published versions: those that hold such lines are erased as a whole",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="tell what there is, and erase nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _say(text: str, *, error: bool = False) -> None:
    print(text, file=sys.stderr if error else sys.stdout)
