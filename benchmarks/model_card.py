"""The card of the model that ships: what it learnt from, how well it reads, where it fails.

    python benchmarks/model_card.py BUNDLE LINES --commands FILE --out htr/pretrained/README.md

LINES is the whole shared lot, names included: the card tells how the model reads what it never learnt, too.
Nothing on it is typed in by hand but where the lines come from and what their licences ask for.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from htr.bundle import Bundle, short
from htr.confidence_figures import confidence_figures
from htr.evaluate import Evaluation, Rates, ReadLine, confusions, evaluate, rates, rates_by
from htr.lines import LinesDataset
from htr.recogniser import Recogniser

SOURCES = (Path(__file__).parent / "model_card_sources.md").read_text(encoding="utf-8").strip()

LEAST_CHARACTERS = 15
"""Of a line that is shown as badly read: a number read wrongly says little."""


def main() -> None:
    """Read the test lines and write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("lines", type=Path)
    parser.add_argument(
        "--commands", type=Path, required=True, help="text file: the commands that made the bundle"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    bundle, dataset = Bundle.open(args.bundle), LinesDataset.open(args.lines)
    found = evaluate(Recogniser(bundle), dataset, ["test"])
    text = card(bundle, found, args.commands.read_text(encoding="utf-8").strip())
    args.out.write_text(text, encoding="utf-8")
    print(f"wrote {args.out}")


def card(bundle: Bundle, found: Evaluation, commands: str) -> str:
    """Return the card as Markdown."""
    known = [line for line in found.lines if line.source in learnt()]
    return "\n\n".join(
        [
            "# The model that ships",
            "It reads lines of French handwriting of 1900 to today. English it has hardly seen: the table says "
            "how little it makes of it. "
            "`python -m htr read photo.png` uses it where no other bundle is given, and a first training starts "
            "from it. One image is one line; `python -m htr pages` finds the lines of a page.",
            f"Bundle {short(bundle.digest)}, {size(bundle.path) / 1e6:.1f} MB, trained on "
            f"{bundle.trained_lines:,} lines ({short(bundle.dataset_digest)}).",
            "## How well it reads",
            "Test lines by writers that training never saw; 95 % bootstrap intervals over lines. "
            "The subset `names` (French school forms, block capitals) was not trained on at all. These test lines "
            "were read several times while the project was built; nothing of this model was chosen by them, "
            "though a first reading led to another look at the confidence's curve (docs/experiments.md).",
            table(found.lines, known),
            trust(known),
            parity(bundle),
            "## Where it fails",
            "Commonest confusions on the test lines (written → read, how often; ∅ is nothing):",
            ", ".join(f"`{shown(a)}` → `{shown(b)}` {n}" for a, b, n in confusions(known, most=20)),
            worst(known),
            "It has seen little English and no other language, no print, no mathematics, and only one kind of "
            "scan a collection. On a hand unlike these, correct some lines and train on (docs/your-own-lines.md).",
            "## What it learnt from",
            SOURCES,
            "## How it was made",
            f"```sh\n{commands}\n```",
        ]
    ) + "\n"  # fmt: skip


def learnt() -> set[str]:
    """Return the subsets that SOURCES lists."""
    rows = SOURCES.partition("\n\n")[0].splitlines()[2:]
    return {row.split("|")[1].strip() for row in rows}


def table(lines: Sequence[ReadLine], known: Sequence[ReadLine]) -> str:
    """Return the rates of all groups, one row each."""
    rows = [("all it learnt", rates(known)), *rates_by(lines, "source").items()]
    rows += [(f"language {name}", rated) for name, rated in rates_by(known, "language").items()]
    head = "| lines | number | CER | WER | exact |\n|---|---|---|---|---|\n"
    return head + "\n".join(_row(name, group) for name, group in rows)


def _row(name: str, group: Rates) -> str:
    def cell(rate: float, interval: tuple[float, float]) -> str:
        return f"{rate:.1%} [{interval[0]:.1%}, {interval[1]:.1%}]"

    cells = [name, f"{group.lines:,}", cell(group.cer, group.cer_interval), cell(group.wer, group.wer_interval)]
    return f"| {' | '.join([*cells, cell(group.exact_match, group.exact_match_interval)])} |"


def trust(lines: Sequence[ReadLine]) -> str:
    """Return what its confidence is worth."""
    figures = confidence_figures(lines)
    return (
        f"Confidence: expected calibration error {figures.error.ece:.1%} "
        f"(by chance {figures.error.by_chance:.1%}); "
        f"{figures.checked_share:.0%} of the lines must be checked for {figures.target_cer:.0%} CER in the rest."
    )


def parity(bundle: Bundle) -> str:
    """Return what reading with 8 bits costs."""
    found = bundle.parity
    return (
        f"8-bit graph: CER {found.cer_int8:.2%} beside {found.cer_fp32:.2%} with 32 bits on {found.lines:,} "
        f"validation lines, {found.changed_lines:,} of which it reads otherwise."
    )


def worst(lines: Sequence[ReadLine]) -> str:
    """Return the lines that are read worst, a few."""
    whole = [line for line in lines if line.errors.characters >= LEAST_CHARACTERS]
    bad = sorted(whole, key=lambda line: -line.errors.edits / line.errors.characters)[:5]
    rows = "\n".join(f"| {line.source} | {shown(line.truth)} | {shown(line.reading)} |" for line in bad)
    head = "| subset | written | read |\n|---|---|---|"
    return f"Lines of {LEAST_CHARACTERS} characters or more that are read worst:\n\n{head}\n{rows}"


def shown(text: str) -> str:
    """Return text as it can stand in a table; ∅ for none, ␣ for a space alone."""
    return {"": "∅", " ": "␣"}.get(text, text.replace("|", "\\|"))


def size(folder: Path) -> int:
    """Return the bytes of all files of a bundle."""
    return sum(file.stat().st_size for file in folder.iterdir())


if __name__ == "__main__":
    main()
