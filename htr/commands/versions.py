"""The commands of the store of versions: ``publish``, ``fetch``, ``versions``, ``diff`` and ``erase-version``."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from htr.commands.shown import Progress, Say
from htr.errors import SettingsError
from htr.versions import (
    KINDS,
    Difference,
    Lineage,
    Version,
    VersionStore,
    find_version,
    is_address,
    is_digest,
    open_store,
)

_SHOWN = 20
"""Ids that ``diff`` names of each sort."""


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands; each sets ``handler`` to a function of (arguments, say) that returns an exit code."""
    publish = subparsers.add_parser(
        "publish",
        help="put a lines dataset or a bundle into the store of versions, under its content digest",
        description="Publish a folder under its content digest and let a name stand for it. What the store has "
        "already is not sent again; killed and run again, it goes on.",
    )
    publish.add_argument("folder", type=Path, metavar="FOLDER", help="a lines dataset or a bundle")
    publish.add_argument("--name", required=True, help="what the version shall go by")
    _add_store(publish)
    for name, told in (
        ("parent", "digest of the version that it was made from"),
        ("policy", "cleaning policy of the lines"),
        ("importer", "what made it"),
        ("commit", "git commit of the code that made it"),
    ):
        publish.add_argument(f"--{name}", default="", help=f"{told}; default: what the folder says")
    publish.add_argument("--repair", action="store_true", help="send everything again: mends a damaged store")
    publish.set_defaults(handler=run_publish)

    fetch = subparsers.add_parser(
        "fetch",
        help="copy a version out of the store, verified, whole or not at all",
        description="Fetch a version into a folder. Killed and run again, it goes on where it was.",
    )
    fetch.add_argument(
        "version",
        metavar="VERSION",
        help="quillflow+s3://BUCKET/PREFIX/KIND/DIGEST_OR_NAME, or KIND/DIGEST_OR_NAME in --store",
    )
    fetch.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to create")
    _add_store(fetch)
    fetch.set_defaults(handler=run_fetch)

    versions = subparsers.add_parser(
        "versions",
        help="list what names stand for in the store, or what one has stood for",
        description="List the names of a kind, or the history of one name.",
    )
    versions.add_argument("kind", choices=KINDS)
    versions.add_argument("name", nargs="?", default="", help="show this name's history")
    _add_store(versions)
    versions.add_argument("--json", action="store_true", help="one JSON object a line")
    versions.set_defaults(handler=run_versions)

    diff = subparsers.add_parser(
        "diff",
        help="which lines came, went and changed between two versions",
        description="Compare two versions by the ids of their lines, or by the files of two bundles.",
    )
    diff.add_argument("kind", choices=KINDS)
    diff.add_argument("a", metavar="FROM", help="digest or name")
    diff.add_argument("b", metavar="TO", help="digest or name")
    _add_store(diff)
    diff.add_argument("--json", action="store_true", help="everything, as one JSON object")
    diff.set_defaults(handler=run_diff)

    erase = subparsers.add_parser(
        "erase-version",
        help="erase a version from the store for good; a tombstone says that it was there",
        description="Erase a version: its manifest, and files that no other version uses. It is not published "
        "again. Killed and run again, it goes on. Publish nothing meanwhile.",
    )
    erase.add_argument("kind", choices=KINDS)
    erase.add_argument("version", metavar="VERSION", help="digest, or a name: what it stands for now")
    _add_store(erase)
    erase.set_defaults(handler=run_erase)


def run_publish(args: argparse.Namespace, say: Say) -> int:
    """Handle ``publish``."""
    kind = _kind_of(args.folder)
    try:
        lineage = Lineage(parent=args.parent, policy=args.policy, importer=args.importer, commit=args.commit)
    except ValueError as error:
        raise SettingsError(f"{error}; shorten it") from None
    store = open_store(args.store)
    version = store.publish(kind, args.name, args.folder, lineage, on_progress=_megabytes(), repair=args.repair)
    say(f"{kind} {args.name}: {version.digest}, {_size(version)}")
    say(version.uri)
    return 0


def run_fetch(args: argparse.Namespace, say: Say) -> int:
    """Handle ``fetch``."""
    store, version = _find(args.version, args.store)
    store.fetch(version.kind, version.digest, args.out, on_progress=_megabytes())
    say(f"{version.kind} {version.digest}, {_size(version)}")
    say(f"wrote {args.out}")
    return 0


def run_versions(args: argparse.Namespace, say: Say) -> int:
    """Handle ``versions``."""
    store = open_store(args.store)
    erased = store.erased(args.kind)
    if not args.name:
        names = store.names(args.kind)
        for name, digest in names.items():
            gone = erased.get(digest, "")
            told = f"  erased {gone}" if gone else ""
            values = {"name": name, "digest": digest, **({"erased": gone} if gone else {})}
            say(json.dumps(values) if args.json else f"{digest}  {name}{told}")
        if not names and not args.json:
            say(f"{store.uri}: no {args.kind} yet")
        return 0
    for entry in store.history(args.kind, args.name):
        if args.json:
            say(json.dumps(asdict(entry), ensure_ascii=False))
            continue
        told = ", ".join(f"{key} {value}" for key, value in asdict(entry.lineage).items() if value)
        gone = f"  erased {erased[entry.digest]}" if entry.digest in erased else ""
        say(f"{entry.created}  {entry.digest}" + (f"  {told}" if told else "") + gone)
    return 0


def run_erase(args: argparse.Namespace, say: Say) -> int:
    """Handle ``erase-version``."""
    store = open_store(args.store)
    wanted = args.version
    done = store.erase(args.kind, wanted if is_digest(wanted) else store.history(args.kind, wanted)[-1].digest)
    shared = f"; {done.shared} stay, which other versions use" if done.shared else ""
    say(f"{done.kind} {done.digest}: erased, {done.removed} files{shared}")
    for name in done.names:
        say(f"{done.kind} {name}: stands for it still; publish one without what had to go under this name")
    for digest in done.learnt:
        say(f"bundle {digest}: learnt from it; train again, then erase it as well")
    if done.kept_by_bucket:
        say("the bucket keeps old versions of objects: remove those of what was erased as well")
    return 0


def run_diff(args: argparse.Namespace, say: Say) -> int:
    """Handle ``diff``."""
    store = open_store(args.store)
    found = store.diff(args.kind, args.a, args.b)
    if args.json:
        say(json.dumps(asdict(found), ensure_ascii=False))
        return 0
    _show_difference(found, store, args, say)
    return 0


def _show_difference(found: Difference, store: VersionStore, args: argparse.Namespace, say: Say) -> None:
    unit = "lines" if args.kind == "lines" else "files"
    say(
        f"{len(found.came)} {unit} came, {len(found.went)} went, {len(found.changed)} changed, "
        f"{found.same} are the same"
    )
    changed = [f"{name}: {', '.join(fields)}" if fields else name for name, fields in found.changed.items()]
    for mark, named in (("+", found.came), ("-", found.went), ("~", changed)):
        for one in named[:_SHOWN]:
            say(f"{mark} {one}")
        if len(named) > _SHOWN:
            say(f"{mark} and {len(named) - _SHOWN} more; --json names them all")
    if not (found.came or found.went or found.changed):
        a, b = (store.find(args.kind, wanted).digest for wanted in (args.a, args.b))
        if a != b:
            say("the same lines in another order")


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        default="",
        metavar="ADDRESS",
        help="s3://BUCKET/PREFIX, file:///DIR or a folder; default: QUILLFLOW_STORE",
    )


def _find(text: str, store: str) -> tuple[VersionStore, Version]:
    if is_address(text):
        return find_version(text, "")
    kind, slash, wanted = text.partition("/")
    if not slash or kind not in KINDS:
        raise SettingsError(f"{text!r}: give lines/NAME, bundle/NAME, a digest for the name, or a whole address")
    opened = open_store(store)
    return opened, opened.find(kind, wanted)


def _kind_of(folder: Path) -> str:
    kinds = [
        kind for kind, mark in (("lines", "dataset.json"), ("bundle", "bundle.json")) if (folder / mark).is_file()
    ]
    if len(kinds) != 1:
        raise SettingsError(f"{folder}: neither a lines dataset (dataset.json) nor a bundle (bundle.json)")
    return kinds[0]


def _megabytes() -> Callable[[int, int], None]:
    """Progress of a transfer, in whole megabytes."""
    progress = Progress("MB")
    return lambda done, total: progress(done // 10**6, total // 10**6)


def _size(version: Version) -> str:
    return f"{len(version.files)} files, {version.num_bytes / 1e6:.1f} MB"
