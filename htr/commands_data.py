"""The commands that make lines datasets: ``import manifest``, ``import names-csv`` and ``synth``.

Handlers take the parsed arguments and a ``say`` that shows a line to the user, and return an exit code. Errors are
raised; whoever calls shows them.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from htr.direction import is_recoverable, is_right_to_left
from htr.errors import SettingsError
from htr.importers.corrections import import_corrections
from htr.importers.manifest import import_manifest
from htr.importers.names_csv import BY_HASH, import_names_csv
from htr.lines import ASKED_FOR, CORRECTIONS, SPLITS, DatasetInfo, LinesDataset

Say = Callable[[str], None]
Handler = Callable[[argparse.Namespace, Say], int]


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands; each sets ``handler`` to a function of (arguments, say) that returns an exit code."""
    importing = subparsers.add_parser("import", help="turn other people's layouts into a lines dataset")
    layouts = importing.add_subparsers(dest="layout", required=True, metavar="LAYOUT")

    manifest = layouts.add_parser(
        "manifest",
        help="a CSV with file_name and text; images in folders or tars beside it",
        description="Import a CSV with file_name and text; also used: writer, page, language, source, subset, "
        "split, tar, id. Images lie beside the table: in its folder, in images/, or in uncompressed tars.",
    )
    manifest.add_argument("table", type=Path, metavar="TABLE", help="the CSV file, UTF-8, with a header")
    _add_out(manifest)
    manifest.add_argument(
        "--only",
        action="append",
        default=[],
        type=_condition,
        metavar="COLUMN=VALUE[,VALUE]",
        help="take only the rows that hold one of these values; may be given more than once",
    )
    _add_limit(manifest)
    manifest.set_defaults(handler=run_manifest)

    names = layouts.add_parser(
        "names-csv",
        help="the Kaggle names layout: FILENAME and IDENTITY, images in folders below",
        description="Import the Kaggle names layout. Rows with an empty label, UNREADABLE or EMPTY are "
        "quarantined; NA, NAN and NULL are surnames.",
    )
    names.add_argument("table", type=Path, metavar="CSV", help="for example written_name_validation_v2.csv")
    _add_out(names)
    names.add_argument("--images", type=Path, metavar="DIR", help="where the images are, if not beside the table")
    names.add_argument(
        "--split",
        choices=(*SPLITS, BY_HASH),
        help="the split of all lines, or hash to spread them; by default what the file names say",
    )
    _add_limit(names)
    names.set_defaults(handler=run_names_csv)

    corrections = layouts.add_parser(
        "corrections",
        help="the folder in which the server keeps what people corrected",
        description="Import a store of corrections, to train on. The last correction of a line counts; those that "
        "were withdrawn are left out.",
    )
    corrections.add_argument("store", type=Path, metavar="STORE", help="what the server got as --corrections")
    _add_out(corrections)
    corrections.set_defaults(handler=run_corrections)

    synth = subparsers.add_parser(
        "synth",
        help="invent writers and let them write a lines dataset",
        description="Invent writers and let them write. The same options give the same bytes.",
    )
    _add_out(synth)
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
    info = import_manifest(args.table, args.out, only=only, limit=args.limit, progress=progress)
    _report(info, args.out, say)
    return 0


def run_names_csv(args: argparse.Namespace, say: Say) -> int:
    """Handle ``import names-csv``."""
    info = import_names_csv(
        args.table, args.out, images=args.images, split=args.split, limit=args.limit, progress=Progress("rows")
    )
    _report(info, args.out, say)
    return 0


def run_corrections(args: argparse.Namespace, say: Say) -> int:
    """Handle ``import corrections``."""
    info = import_corrections(args.store, args.out, progress=Progress("corrections"))
    _report(info, args.out, say, wanted=("train",))
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
    _report(info, args.out, say)
    return 0


class Progress:
    """Shows how far a long command is: on one line of a terminal, or on a new line now and then elsewhere.

    Args:
        unit: what is counted, in the plural.
        stream: where to write; stderr by default.
        clock: seconds that only go forward.
    """

    def __init__(
        self, unit: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unit = unit
        self._stream = stream or sys.stderr
        self._clock = clock
        self._live = self._stream.isatty()
        self._interval_s = 0.2 if self._live else 5.0
        self._begun = self._shown = clock()

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done, if it is time to."""
        now = self._clock()
        ended = self._live and done >= total
        if now - self._shown < self._interval_s and not ended:
            return
        self._shown = now
        rate = done / max(now - self._begun, 1e-9)
        left_s = (total - done) / max(rate, 1e-9)
        text = f"{done} of {total} {self._unit}, {rate:.0f}/s, {left_s:.0f} s left"
        self._stream.write(f"\r\x1b[K{text}" + ("\n" if ended else "") if self._live else f"{text}\n")
        self._stream.flush()


def _report(info: DatasetInfo, out: Path, say: Say, wanted: tuple[str, ...] = ("train", "val", "test")) -> None:
    counts = info.counts["split"]
    splits = ", ".join(f"{split} {counts[split]}" for split in SPLITS if split in counts)
    say(f"kept {info.num_lines} lines: {splits}")
    quarantined = info.counts["quarantined"]
    if quarantined:
        reasons = ", ".join(f"{reason} {count}" for reason, count in quarantined.items())
        say(f"quarantined {sum(quarantined.values())} rows: {reasons}; listed in {out / 'quarantine.csv'}")
    else:
        say("quarantined 0 rows")
    empty = [split for split in wanted if not counts.get(split)]
    if empty:
        say(
            f"note: no line in split {' and '.join(empty)}, which training needs: "
            "give the table a split column, or more writers"
        )
    _report_order(out, info, say)
    say(f"digest {info.digest}")
    say(f"wrote {out}")


def _report_order(out: Path, info: DatasetInfo, say: Say) -> None:
    """Name the lines whose text cannot be told from how it stands on paper; they are kept."""
    if not any(map(is_right_to_left, info.alphabet)):
        return
    rows = LinesDataset.open(out).columns(["id", "text"]).to_pylist()
    mixed = [row["id"] for row in rows if not is_recoverable(row["text"])]
    if mixed:
        named = ", ".join(mixed[:5]) + (", ..." if len(mixed) > 5 else "")
        say(
            f"{len(mixed)} lines mix writing directions so that another text would look the same on paper "
            f"({named}): they are kept, but even a right reading of them counts as wrong; see docs/scripts.md"
        )


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the dataset folder to create")


def _add_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, metavar="N", help="take that many rows at most")


def _condition(text: str) -> tuple[str, set[str]]:
    column, equals, values = text.partition("=")
    if not column or not equals or not values:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not COLUMN=VALUE[,VALUE]; for example subset=names,stanford"
        )
    return column.strip(), {value.strip() for value in values.split(",")}
