"""What the audit finds of faults that were planted, and what it finds where there are none.

    python benchmarks/audit.py LINES [--clean 5000] [--planted 200] [--model pretrained] [--read 2241]

LINES is a lines dataset with writers and pages. Faults of each kind are planted among clean lines, as further
lines; a finding that names neither a planted line nor its partner is false. Then labels of 3 % of the lines
that the model never learnt from (val and test) are passed on, and looked for among the most suspicious.
"""

import argparse
import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from htr.audit.findings import Audit
from htr.audit.run import audit_lines
from htr.ctc import steps_needed
from htr.image import Geometry, Grey, decode, scaled_width
from htr.lines import Line, LinesDataset, LinesWriter
from htr.pretrained import resolve
from htr.recogniser import Recogniser

OTHER = {"train": "test", "val": "train", "test": "train"}
SWAPPED, LISTED = 0.03, 0.06
RULE_OF = {
    "copy": "copy_in_two_splits",
    "near copy": "near_copy_in_two_splits",
    "turned copy": "near_copy_in_two_splits",
    "conflicting label": "conflicting_labels",
    "writer": "writer_in_two_splits",
    "page": "page_in_two_splits",
    "text and writer": "text_in_two_splits",
    "infeasible": "infeasible",
}
Planted = dict[str, set[str]]


def main() -> None:
    """Print one row a kind of fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", type=Path)
    parser.add_argument("--clean", type=int, default=5000)
    parser.add_argument("--planted", type=int, default=200)
    parser.add_argument("--model", help="a bundle, or pretrained; without one labels are not held against any")
    parser.add_argument("--read", type=int, default=2241, help="val and test lines to hold against the model")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    lines = [line for line in LinesDataset.open(args.lines).lines() if _is_feasible(line)]
    rng = np.random.default_rng(args.seed)
    order = [lines[n] for n in rng.permutation(len(lines))]
    clean, pool = order[: args.clean], order[args.clean :]
    with TemporaryDirectory() as folder:
        found = _audited(Path(folder) / "clean", clean)
        print(f"{len(clean)} clean lines: {_counted(found)}")
        extra, planted, partners = plant(clean, pool, args.planted, rng)
        found = _audited(Path(folder) / "planted", [*clean, *extra])
        print("\n| planted | lines | found | found of the clean, falsely |\n|---|---|---|---|")
        for kind, ids in planted.items():
            named = set(found.lines(RULE_OF[kind]))
            false = named - set().union(*planted.values()) - partners
            print(f"| {kind} | {len(ids)} | {len(named & ids) / len(ids):.1%} | {len(false)} |")
        if args.model:
            _swapped(lines, args, rng, Path(folder))


def plant(
    clean: Sequence[Line], pool: Sequence[Line], count: int, rng: np.random.Generator
) -> tuple[list[Line], Planted, set[str]]:
    """Return further lines with faults, their ids by kind, and the ids of the clean lines they clash with."""
    planted: Planted = {}
    extra: list[Line] = []
    partners: set[str] = set()
    sources = iter([clean[n] for n in rng.permutation(len(clean))])
    spare = iter(pool)
    split_of = {line.writer: line.split for line in clean if line.writer}
    page_of = {(line.source, line.page): line.split for line in clean if line.page}
    of_writer: dict[str, list[Line]] = {}
    of_page: dict[tuple[str, str], list[Line]] = {}
    for line in clean:
        of_writer.setdefault(line.writer, []).append(line)
        of_page.setdefault((line.source, line.page), []).append(line)

    def add(kind: str, line: Line, others: Sequence[Line]) -> None:
        line = replace(line, id=f"{kind} {len(extra)}", width=_width(line.image), height=_height(line.image))
        planted.setdefault(kind, set()).add(line.id)
        extra.append(line)
        partners.update(other.id for other in others)

    for _ in range(count):
        line = next(sources)
        add("copy", replace(_nobody(line), image=_png(decode(line.image)), split=OTHER[line.split]), [line])
        line = next(sources)
        add(
            "near copy",
            replace(_nobody(line), image=_form(decode(line.image), rng), split=OTHER[line.split]),
            [line],
        )
        line = next(sources)
        add(
            "turned copy",
            replace(_nobody(line), image=_turned(decode(line.image), rng), split=OTHER[line.split]),
            [line],
        )
        line, other = next(sources), next(sources)
        add("conflicting label", replace(_nobody(line), text=f"{other.text}."), [line])
    for line in _those(spare, count, lambda line: line.writer in split_of):
        moved = replace(line, split=OTHER[split_of[line.writer]], page="")
        add("writer", moved, of_writer[line.writer])
    for line in _those(spare, count, lambda line: (line.source, line.page) in page_of):
        moved = replace(line, split=OTHER[page_of[line.source, line.page]], writer="")
        add("page", moved, of_page[line.source, line.page])
    for line in _those(spare, count, lambda _: True):
        like = next(sources)
        again = replace(line, writer=like.writer, text=like.text, split=OTHER[like.split], page="")
        add("text and writer", again, of_writer[like.writer])
    for line in _those(spare, count, lambda _: True):
        need = _steps(line) + 1
        text = line.text
        while steps_needed(text) < need:
            text += line.text
        add("infeasible", replace(_nobody(line), text=text), [])
    return extra, planted, partners


def _those(lines: Iterator[Line], count: int, wanted: Callable[[Line], bool]) -> Iterator[Line]:
    for _ in range(count):
        yield next(line for line in lines if wanted(line))


def _nobody(line: Line) -> Line:
    """Return a line that says nothing of writer and page, so that no other rule has anything to say."""
    return replace(line, writer="", page="")


def _form(grey: Grey, rng: np.random.Generator) -> bytes:
    """Return the same line as it comes back from other programs: saved, scaled, dimmed, cut or set anew."""
    kind = rng.integers(6)
    height, width = grey.shape
    if kind == 0:
        return _encoded(grey, "JPEG", quality=int(rng.integers(30, 80)))
    if kind == 1:
        factor = float(rng.uniform(0.6, 1.6))
        size = (max(1, round(width * factor)), max(8, round(height * factor)))
        return _png(np.asarray(Image.fromarray(grey).resize(size), np.uint8))
    if kind == 2:
        return _png(np.asarray(np.clip(grey * rng.uniform(0.6, 0.95) + rng.uniform(0, 15), 0, 255), np.uint8))
    if kind == 3:
        top, low, left, right = rng.integers(1, 4, 4)
        return _png(grey[top : height - low, left : width - right])
    if kind == 4:
        top, low, left, right = rng.integers(1, 16, 4)
        return _png(np.pad(grey, ((top, low), (left, right)), constant_values=int(np.median(grey))))
    return _png(np.asarray(np.clip(grey + rng.normal(0, 6, grey.shape), 0, 255), np.uint8))


def _turned(grey: Grey, rng: np.random.Generator) -> bytes:
    """Return the same line turned by 1 to 3 degrees, either way, on more paper."""
    angle = float(rng.uniform(1, 3) * rng.choice([-1, 1]))
    image = Image.fromarray(grey)
    paper = int(np.median(grey))
    return _png(np.asarray(image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=paper), np.uint8))


def _swapped(lines: Sequence[Line], args: argparse.Namespace, rng: np.random.Generator, folder: Path) -> None:
    unseen = [line for line in lines if line.split != "train"][: args.read]
    chosen = rng.permutation(len(unseen))[: round(SWAPPED * len(unseen))]
    texts = {int(at): unseen[int(to)].text for at, to in zip(chosen, np.roll(chosen, 1), strict=True)}
    wrong = {unseen[at].id for at, text in texts.items() if text != unseen[at].text}
    mixed = [replace(line, text=texts.get(at, line.text)) for at, line in enumerate(unseen)]
    recogniser = Recogniser.load(resolve(args.model))
    with LinesWriter(folder / "swapped") as writer:
        for line in mixed:
            writer.add(line)
    found = audit_lines(LinesDataset.open(folder / "swapped"), recogniser=recogniser, suspect_share=LISTED)
    named = {i for rule in ("likely_mislabel", "upside_down") for i in found.lines(rule)}
    print(
        f"\n{len(unseen)} lines, {len(wrong)} with another line's label: {len(named & wrong) / len(wrong):.1%} of "
        f"them among the {len(named)} that are listed (at most {math.ceil(LISTED * len(unseen))})"
    )


def _audited(path: Path, lines: Sequence[Line]) -> Audit:
    with LinesWriter(path) as writer:
        for line in lines:
            writer.add(line)
    return audit_lines(LinesDataset.open(path))


def _counted(audit: Audit) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in audit.rules.items() if count) or "nothing found"


def _is_feasible(line: Line) -> bool:
    return _steps(line) >= steps_needed(line.text)


def _steps(line: Line) -> int:
    geometry = Geometry()
    return -(-max(geometry.min_width, scaled_width(decode(line.image), geometry)) // geometry.column_step)


def _width(image: bytes) -> int:
    return decode(image).shape[1]


def _height(image: bytes) -> int:
    return decode(image).shape[0]


def _png(grey: Grey) -> bytes:
    return _encoded(grey, "PNG")


def _encoded(grey: Grey, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(out, kind, **options)
    return out.getvalue()


if __name__ == "__main__":
    main()
