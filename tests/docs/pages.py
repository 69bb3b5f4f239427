"""The project's pages as text: their commands, their inline code, their headings."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "htr/pretrained/README.md")),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("k8s/**/*.md"),
    ]
)
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_MODULE = re.compile(r"python3? -m (?=[a-z])")
_SCRIPT = re.compile(r"python3? (?=[a-z_]+/[a-z_/]+\.py)")
_ENDS = {"-->", "|", "||", "&&", "&", ";", ">", "<", ">>", "<<", ")", "2>"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One call of a program of ours, as a page has it."""

    page: Path
    module: str
    args: tuple[str, ...]
    whole: bool
    """Whether it stands in a block, to be typed as it is; an inline one may leave out what goes without saying."""

    def __str__(self) -> str:
        return f"{name(self.page)}: python -m {shlex.join((self.module, *self.args))}"


def name(page: Path) -> str:
    """Return a page's path from the root of the project."""
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    lines = _FENCE.sub("", text_of(page)).splitlines()
    # A line that is indented below an empty one is code; below text it goes on with a list.
    kept, code = [], False
    for number, line in enumerate(lines):
        if line.startswith("    ") and (code or not number or not lines[number - 1].strip()):
            code = True
        elif line.strip():
            code = False
        kept.append("" if code else line)
    return "\n".join(kept)


def inline_code(page: Path) -> list[str]:
    """Return what stands in single backticks; a piece may go on in the next line."""
    return [" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", prose(page))]


def commands(page: Path) -> Iterator[Command]:
    """Yield every call of `python -m MODULE` or of a script, in blocks and inline."""
    inline = inline_code(page)
    blocks = text_of(page).replace("\\\n", " ").splitlines()
    for text, whole in [*((line, True) for line in blocks), *((piece, False) for piece in inline)]:
        if whole and ("`" in text and not text.startswith("    ")):  # prose
            continue
        for pattern in (_MODULE, _SCRIPT):
            for found in pattern.finditer(text):
                module, *args = _words(text[found.end() :])
                args = [] if args[:1] == ["..."] else args
                yield Command(
                    page=page,
                    module=module.removesuffix(".py").replace("/", "."),
                    args=tuple(args),
                    whole=whole and not any("..." in word for word in args),
                )


def headings(page: Path) -> set[str]:
    """Return the anchors that a page's headings have on GitHub."""
    anchors: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"^#+ (.+)$", _FENCE.sub("", text_of(page)), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = anchors.get(anchor, 0)
        anchors[anchor] = count + 1
        found.add(f"{anchor}-{count}" if count else anchor)
    return found


def _words(text: str) -> list[str]:
    """Return a command's words as a shell splits them, up to its end."""
    cut = text.partition("  #")[0].partition(" # ")[0]
    try:
        words = shlex.split(cut)
    except ValueError:  # the quotes of what is around it
        words = cut.split()
    kept = []
    for word in words:
        if word in _ENDS:
            break
        kept.append(word.rstrip(",;)"))
        if word.endswith((";", ")")):
            break
    return kept
