"""The commands that make lines datasets: ``import`` and ``synth``; other layouts are in `htr.commands.layouts`.

Handlers take the parsed arguments and a ``say`` that shows a line to the user, and return an exit code. Errors are
raised; whoever calls shows them.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from htr.commands.layouts import add_layouts, add_limit, add_out, add_policy
from htr.commands.shown import Progress, Say, report
from htr.errors import SettingsError
from htr.importers.corrections import import_corrections
from htr.importers.manifest import import_manifest
from htr.importers.names_csv import BY_HASH, POLICY, import_names_csv
from htr.lines import ASKED_FOR, CORRECTIONS, SPLITS

Handler = Callable[[argparse.Namespace, Say], int]


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands; each sets ``handler`` to a function of (arguments, say) that returns an exit code."""
    importing = subparsers.add_parser("import", help="turn other people's layouts into a lines dataset")
    layouts = importing.add_subparsers(dest="layout", required=True, metavar="LAYOUT")

    manifest = layouts.add_parser(
        "manifest",
        help="a table with file_name and text (CSV, TSV, JSON Lines); images in folders or tars beside it",
        description="Import a table with file_name and text; also used: writer, page, language, source, subset, "
        "split, tar, id. Images lie beside the table: in its folder, in images/, or in uncompressed tars.",
    )
    manifest.add_argument("table", type=Path, metavar="TABLE", help="CSV or TSV with a header, or .jsonl; UTF-8")
    add_out(manifest)
    manifest.add_argument(
        "--only",
        action="append",
        default=[],
        type=_condition,
        metavar="COLUMN=VALUE[,VALUE]",
        help="take only the rows that hold one of these values; may be given more than once",
    )
    manifest.add_argument(
        "--images", type=Path, metavar="DIR", help="where the images are, if not beside the table"
    )
    manifest.add_argument(
        "--column",
        action="append",
        default=[],
        type=_renaming,
        metavar="OURS=THEIRS",
        help="the table's name of a column, for example text=transcription; may be given more than once",
    )
    add_limit(manifest)
    add_policy(manifest)
    manifest.set_defaults(handler=run_manifest)

    names = layouts.add_parser(
        "names-csv",
        help="the Kaggle names layout: FILENAME and IDENTITY, images in folders below",
        description="Import the Kaggle names layout. Rows with an empty label, UNREADABLE or EMPTY are "
        "quarantined; NA, NAN and NULL are surnames.",
    )
    names.add_argument("table", type=Path, metavar="CSV", help="for example written_name_validation_v2.csv")
    add_out(names)
    names.add_argument("--images", type=Path, metavar="DIR", help="where the images are, if not beside the table")
    names.add_argument(
        "--split",
        choices=(*SPLITS, BY_HASH),
        help="the split of all lines, or hash to spread them; by default what the file names say",
    )
    add_limit(names)
    add_policy(names, default=POLICY)
    names.set_defaults(handler=run_names_csv)

    corrections = layouts.add_parser(
        "corrections",
        help="the folder in which the server keeps what people corrected",
        description="Import a store of corrections, to train on. The last correction of a line counts; those that "
        "were withdrawn are left out.",
    )
    corrections.add_argument("store", type=Path, metavar="STORE", help="what the server got as --corrections")
    add_out(corrections)
    corrections.set_defaults(handler=run_corrections)
    add_layouts(layouts)

    synth = subparsers.add_parser(
        "synth",
        help="invent writers and let them write a lines dataset",
        description="Invent writers and let them write. The same options give the same bytes.",
    )
    add_out(synth)
    synth.add_argument("--lines", type=int, default=2000, metavar="N", help="default: %(default)s")
    synth.add_argument("--writers", type=int, default=60, metavar="N", help="default: %(default)s")
    synth.add_argument("--population", default="plain", help="plain or drifted; default: %(default)s")
    synth.add_argument(
        "--script",
        default="latin",
        help="latin, greek, vietnamese, or arabic, which needs --fonts; default: %(default)s",
    )
    synth.add_argument("--seed", type=int, default=1, metavar="N", help="default: %(default)s")
    synth.add_argument("--fonts", type=Path, metavar="DIR", help="write with the .ttf and .otf fonts of a folder")
    synth.set_defaults(handler=run_synth)


def run_manifest(args: argparse.Namespace, say: Say) -> int:
    """Handle ``import manifest``."""
    only: dict[str, set[str]] = {}
    for column, values in args.only:
        only.setdefault(column, set()).update(values)
    progress = Progress("rows")
    info = import_manifest(
        args.table,
        args.out,
        only=only,
        limit=args.limit,
        images=args.images,
        columns=dict(args.column),
        policy=args.policy,
        progress=progress,
    )
    report(info, args.out, say)
    return 0


def run_names_csv(args: argparse.Namespace, say: Say) -> int:
    """Handle ``import names-csv``."""
    info = import_names_csv(
        args.table,
        args.out,
        images=args.images,
        split=args.split,
        limit=args.limit,
        policy=args.policy,
        progress=Progress("rows"),
    )
    report(info, args.out, say)
    return 0


def run_corrections(args: argparse.Namespace, say: Say) -> int:
    """Handle ``import corrections``."""
    info = import_corrections(args.store, args.out, progress=Progress("corrections"))
    report(info, args.out, say, wanted=("train",))
    asked, sampled = (info.counts["source"].get(source, 0) for source in (ASKED_FOR, CORRECTIONS))
    say(f"chosen by what the model read: {asked}, only learnt from; as a sample: {sampled}, a share is held back")
    if not sampled:
        say(
            "note: without a sample a new model cannot be judged on today's hands: check some lines whatever the "
            "model reads there, and send them with chosen_by sample; see docs/corrections.md"
        )
    return 0


def run_synth(args: argparse.Namespace, say: Say) -> int:
    """Handle ``synth``."""
    try:
        from htr.synthesis import write_dataset
    except ImportError as error:  # a reading-only installation has neither OpenCV nor the letters
        raise SettingsError(
            f"synth needs a package that is not installed ({error.name}); pip install 'quillflow[train]'"
        ) from error
    info = write_dataset(
        args.out,
        num_lines=args.lines,
        num_writers=args.writers,
        seed=args.seed,
        population=args.population,
        script=args.script,
        fonts=args.fonts,
        progress=Progress("lines"),
    )
    report(info, args.out, say)
    return 0


def _condition(text: str) -> tuple[str, set[str]]:
    column, equals, values = text.partition("=")
    if not column or not equals or not values:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not COLUMN=VALUE[,VALUE]; for example subset=names,stanford"
        )
    return column.strip(), {value.strip() for value in values.split(",")}


def _renaming(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not ours.strip() or not equals or not theirs.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not OURS=THEIRS; for example text=transcription")
    return ours.strip(), theirs.strip()
