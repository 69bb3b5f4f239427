"""``import`` of layouts that have no table of our kind: gt-txt, iam, pages, parquet.

Handlers take the parsed arguments and a ``say`` that shows a line to the user, and return an exit code. Errors are
raised; whoever calls shows them.
"""

import argparse
from pathlib import Path

from htr.commands.shown import Progress, Say, report
from htr.importers.folders import WRITER_FROM, Known
from htr.importers.iam import import_iam
from htr.importers.parquet_images import Columns, import_parquet
from htr.importers.text_files import import_text_files


def add_layouts(layouts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the layouts with ``import``."""
    pairs = layouts.add_parser(
        "gt-txt",
        help="a folder of images with a text file each: a.png and a.gt.txt",
        description="Import images with a text file each, as OCRopus, kraken and Calamari have them: a.png (or "
        "a.nrm.png, a.bin.png) and a.gt.txt, in any folders. Folders named train, val or test are splits.",
    )
    pairs.add_argument("folder", type=Path, metavar="DIR")
    add_out(pairs)
    _add_known(pairs)
    add_limit(pairs)
    add_policy(pairs)
    pairs.set_defaults(handler=run_text_files)

    iam = layouts.add_parser(
        "iam",
        help="the IAM database: words.txt or lines.txt, and their images",
        description="Import IAM's words.txt or lines.txt. Words that are marked err, or have no box, are "
        "quarantined; lines that are marked err are kept, since it is their words that were cut wrongly.",
    )
    iam.add_argument("table", type=Path, metavar="TXT", help="words.txt or lines.txt")
    add_out(iam)
    iam.add_argument(
        "--images", type=Path, metavar="DIR", help="the folder words or lines, if not beside the table"
    )
    iam.add_argument("--forms", type=Path, metavar="TXT", help="forms.txt, which says who wrote a form")
    iam.add_argument("--err", choices=("keep", "drop"), help="rows marked err; default: drop words, keep lines")
    add_limit(iam)
    add_policy(iam)
    iam.set_defaults(handler=run_iam)

    pages = layouts.add_parser(
        "pages",
        help="page images with ALTO or PAGE XML: their lines are cut out",
        description="Import ALTO (2 to 4) or PAGE (2010 to 2019) files with their page images: every marked "
        "line is cut out along its outline. Lines that are marked as printed or typewritten are quarantined.",
    )
    pages.add_argument("folder", type=Path, metavar="DIR", help="holds the XML files, images beside them")
    add_out(pages)
    _add_known(pages)
    pages.add_argument(
        "--crop",
        default="polygon",
        help="polygon, along outlines, or baseline, a strip along it; default: %(default)s",
    )
    pages.add_argument("--max-height", type=int, metavar="PX", help="scale higher lines down to it")
    pages.add_argument(
        "--drop-types",
        metavar="WORD[,WORD]",
        help="leave out lines of these types; default: print,printed,typed,typewritten; '' keeps all",
    )
    add_limit(pages)
    add_policy(pages)
    pages.set_defaults(handler=run_pages)

    parquet = layouts.add_parser(
        "parquet",
        help="Hugging Face's Parquet with image and text",
        description="Import Parquet files with an image and a text column; also used: writer, page, language, "
        "source, split, id. Without a split column, file names say it: train-00000-of-00002.parquet.",
    )
    parquet.add_argument("path", type=Path, metavar="PATH", help="a .parquet file, or a folder of them")
    add_out(parquet)
    _add_known(parquet, writer=False)
    parquet.add_argument("--image-column", default="image", metavar="NAME", help="default: %(default)s")
    parquet.add_argument(
        "--text-column", default="", metavar="NAME", help="default: text, transcription, label ..."
    )
    add_limit(parquet)
    add_policy(parquet)
    parquet.set_defaults(handler=run_parquet)


def run_text_files(args: argparse.Namespace, say: Say) -> int:
    """Handle ``import gt-txt``."""
    info = import_text_files(
        args.folder,
        args.out,
        known=_known(args),
        limit=args.limit,
        policy=args.policy,
        progress=Progress("lines"),
    )
    report(info, args.out, say)
    return 0


def run_iam(args: argparse.Namespace, say: Say) -> int:
    """Handle ``import iam``."""
    info = import_iam(
        args.table,
        args.out,
        images=args.images,
        forms=args.forms,
        take_err=None if args.err is None else args.err == "keep",
        limit=args.limit,
        policy=args.policy,
        progress=Progress("rows"),
    )
    report(info, args.out, say)
    if not info.lineage["writers_from"]:
        say("note: no forms.txt: who wrote what is unknown, and a writer may be in several splits; see --forms")
    return 0


def run_pages(args: argparse.Namespace, say: Say) -> int:
    """Handle ``import pages``."""
    from htr.importers.page_folder import NOT_HANDWRITTEN, Cutting, import_page_folder  # wants OpenCV

    types = NOT_HANDWRITTEN if args.drop_types is None else args.drop_types.casefold().split(",")
    info = import_page_folder(
        args.folder,
        args.out,
        known=_known(args),
        cutting=Cutting(
            by=args.crop,
            max_height=args.max_height,
            drop_types=frozenset(word.strip() for word in types if word.strip()),
        ),
        limit=args.limit,
        policy=args.policy,
        progress=Progress("lines"),
    )
    report(info, args.out, say)
    return 0


def run_parquet(args: argparse.Namespace, say: Say) -> int:
    """Handle ``import parquet``."""
    info = import_parquet(
        args.path,
        args.out,
        columns=Columns(image=args.image_column, text=args.text_column),
        known=Known(language=args.language, source=args.source),
        limit=args.limit,
        policy=args.policy,
        progress=Progress("rows"),
    )
    report(info, args.out, say)
    return 0


def _known(args: argparse.Namespace) -> Known:
    return Known(language=args.language, source=args.source, writer_from=args.writer_from)


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add ``--out``."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the dataset folder to create")


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add ``--limit``."""
    parser.add_argument("--limit", type=int, metavar="N", help="take that many rows at most")


def add_policy(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Add ``--policy``."""
    parser.add_argument(
        "--policy",
        default=default,
        metavar="FILE",
        help="cleaning rules: a .toml file, or names, strict-names or plain-marks; default: "
        + (default or "none but Unicode NFC"),
    )


def _add_known(parser: argparse.ArgumentParser, *, writer: bool = True) -> None:
    parser.add_argument("--language", default="", metavar="CODE", help="of all lines, ISO 639-3: fra, eng, ...")
    parser.add_argument("--source", default="", metavar="NAME", help="what the collection is called in reports")
    if writer:
        parser.add_argument(
            "--writer-from",
            default="none",
            choices=WRITER_FROM,
            help="folder if each holds one hand, page if each is by one hand; default: %(default)s",
        )
