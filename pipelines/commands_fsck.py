"""python -m pipelines fsck: is anything lost, doubled or half-written below a folder?"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

from htr.errors import SettingsError
from htr.places import find_places
from htr.signing import find_verify_key
from htr.soundness import Finding
from htr.tenants import Tenant
from htr.versions import open_store
from pipelines.fsck import check, check_store

FORMAT_VERSION = 1


def add_parser(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", *, show: Callable[[str], None]
) -> None:
    """Register the verb; exit status 0 nothing wrong, 1 something is, 2 it could not be looked for."""
    verb = verbs.add_parser(
        "fsck", help="look for what is lost, doubled, damaged or half-written; changes nothing"
    )
    verb.add_argument("--root", type=Path, help="folder that the loop, or the services, write to")
    verb.add_argument(
        "--store", metavar="ADDRESS", help="store of versions: s3://BUCKET/PREFIX, file:///DIR or a folder"
    )
    verb.add_argument(
        "--deep", action="store_true", help="read every file of the store and compare it with its digest"
    )
    verb.add_argument(
        "--key", type=Path, help="public key that champions must be signed with (QUILLFLOW_VERIFY_KEY)"
    )
    verb.add_argument(
        "--no-registry", action="store_true", help="do not ask MLflow databases, which takes seconds"
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(handler=lambda args: fsck(args, show=show))


def fsck(args: argparse.Namespace, *, show: Callable[[str], None]) -> int:
    """Look, tell, and return the exit status."""
    if args.root is None and args.store is None:
        raise SettingsError("give --root DIR or --store ADDRESS, or both")
    if args.deep and args.store is None:
        raise SettingsError("--deep goes with --store: what lies below --root is read in any case")
    if args.root is not None:
        Tenant.of(os.environ).check_all_below(args.root)
    looked_at: dict[str, int] = {}
    found: list[Finding] = []
    if args.root is not None:
        places = find_places(args.root)
        key = args.key or find_verify_key()
        found += check(places, args.root, public_key=key, registry=not args.no_registry)
        looked_at |= places.counts()
    if args.store is not None:
        store = open_store(args.store)
        if not store.is_there():
            raise SettingsError(f"{store.uri}: no store of versions is there; check the address")
        found += check_store(store, deep=args.deep)
        looked_at["versions"] = len(store)
    faults = [one for one in found if one.is_fault]
    if args.json:
        values = {
            "format_version": FORMAT_VERSION,
            "looked_at": looked_at,
            "faults": len(faults),
            "findings": [{"place": str(one.place), "kind": one.kind, "said": one.said} for one in found],
        }
        show(json.dumps(values, indent=2, ensure_ascii=False))
    else:
        for one in found:
            show(f"{'note' if not one.is_fault else one.kind}: {one.place}: {one.said}")
        seen = ", ".join(f"{count} {name}" for name, count in looked_at.items() if count)
        notes = len(found) - len(faults)
        show(f"looked at {seen or 'nothing of ours'}: {len(faults)} faults, {notes} notes")
    return 1 if faults else 0
