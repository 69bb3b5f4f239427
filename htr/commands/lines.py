"""The commands that make something else of a lines dataset: ``split`` and ``export``."""

import argparse
from pathlib import Path

from htr.commands.layouts import add_out
from htr.commands.shown import Progress, Say, report
from htr.exporters.page_xml import export_pages
from htr.exporters.table import export_table
from htr.lines import LinesDataset
from htr.splitting import BY, Shares, split_dataset


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands; each sets ``handler`` to a function of (arguments, say) that returns an exit code."""
    split = subparsers.add_parser(
        "split",
        help="deal a lines dataset into train, val and test anew",
        description="Deal the lines into train, val and test: all lines of a writer, and of that hand's pages, "
        "into one; every source by itself. With --like, what an earlier dataset holds keeps its split.",
    )
    split.add_argument("lines", type=Path, metavar="LINES", help="the lines dataset")
    add_out(split)
    split.add_argument("--by", default="writer", choices=BY, help="what must not be parted; default: %(default)s")
    split.add_argument("--like", type=Path, metavar="LINES", help="an earlier dataset, whose splits are kept")
    split.add_argument(
        "--shares",
        type=_shares,
        default=(0.8, 0.1, 0.1),
        metavar="TRAIN/VAL/TEST",
        help="in per cent; default: 80/10/10",
    )
    split.set_defaults(handler=run_split)

    export = subparsers.add_parser("export", help="write a lines dataset in other people's layouts")
    layouts = export.add_subparsers(dest="layout", required=True, metavar="LAYOUT")
    for name, told in (
        ("manifest", "manifest.csv and a folder of images; import manifest takes it back"),
        ("page", "images with a PAGE XML file each, in folders by split"),
    ):
        layout = layouts.add_parser(name, help=told, description=f"Write {told}.")
        layout.add_argument("lines", type=Path, metavar="LINES", help="the lines dataset")
        add_out(layout)
        layout.set_defaults(handler=run_export)


def run_split(args: argparse.Namespace, say: Say) -> int:
    """Handle ``split``."""
    train, val, test = args.shares
    like = LinesDataset.open(args.like) if args.like else None
    info = split_dataset(
        LinesDataset.open(args.lines),
        args.out,
        by=args.by,
        shares=Shares(train=train, val=val, test=test),
        like=like,
        progress=Progress("lines"),
    )
    report(info, args.out, say)
    return 0


def run_export(args: argparse.Namespace, say: Say) -> int:
    """Handle ``export``."""
    export = export_table if args.layout == "manifest" else export_pages
    count = export(LinesDataset.open(args.lines), args.out, progress=Progress("lines"))
    say(f"wrote {count} lines to {args.out}")
    return 0


def _shares(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(number) / 100 for number in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not TRAIN/VAL/TEST in per cent, for example 80/10/10"
        ) from None
    return train, val, test
