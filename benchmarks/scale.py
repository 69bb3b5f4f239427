"""How import, audit and publishing grow with the number of lines: seconds, lines a second, and the most memory.

    python -m benchmarks.scale --sizes 10000 100000 1000000 --work build/scale --out build/scale/result

Lines are invented: words of NUM_HANDS hands are drawn once and put together anew for every line, so that a million
of them take minutes and no two are alike. One of a thousand is there again with the same pixels, and one of a
thousand dimmed; the audit must name them. Every step is a process of its own, as people start it.
"""

import argparse
import csv
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from htr.audit.findings import read_audit
from htr.synthesis.ink import draw
from htr.synthesis.style import POPULATIONS, Style

Grey = npt.NDArray[np.uint8]
NUM_HANDS, WORDS_OF_A_HAND, WORDS_OF_A_LINE = 20, 60, 6
LINES_OF_A_WRITER, LINES_OF_A_PAGE = 50, 25
EVERY = 1000
"""One line of so many has an exact copy, one a dimmed one."""
HEIGHT, PAPER = 24, 232
LEVELS = 24
"""Grey levels between two that are kept: so an image takes about a kilobyte."""


def main() -> None:
    """Measure every size, and write the table, the figures and the curve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--work", type=Path, required=True, help="for tables, images and datasets; 6 kB a line")
    parser.add_argument("--out", type=Path, required=True, help="scale.json, scale.md and scale.png are put there")
    parser.add_argument("--keep", action="store_true", help="leave what was made in --work")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "scale.json"
    found: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.is_file() else []
    for size in args.sizes:
        found = [one for one in found if one["lines"] != size]
        found.append(measure(size, args.work / str(size), keep=args.keep))
        found.sort(key=lambda one: int(one["lines"]))
        kept.write_text(json.dumps(found, indent=1) + "\n")
        (args.out / "scale.md").write_text(table(found))
        print(table(found), flush=True)
    curve(found, args.out / "scale.png")


def measure(size: int, work: Path, *, keep: bool = False) -> dict[str, Any]:
    """Invent lines, take every step with them, and return what each took."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "in").mkdir(parents=True)
    began = time.monotonic()
    planted = invent(size, work / "in")
    result: dict[str, Any] = {"lines": size, "invented_s": round(time.monotonic() - began, 1), "steps": {}}
    result["image_bytes"] = round((work / "in" / "lines.tar").stat().st_size / size)
    lines, audit = work / "lines", work / "audit"
    steps = {
        "import": ["import", "manifest", str(work / "in" / "lines.csv"), "--out", str(lines)],
        "audit": ["audit", str(lines), "--out", str(audit), "--fail-on", "never"],
        "publish": ["publish", str(lines), "--name", "scale", "--store", f"file://{work.resolve()}/store"],
    }
    for name, command in steps.items():
        print(f"{size} lines: {name}", flush=True)
        result["steps"][name] = timed([sys.executable, "-m", "htr", *command], work / f"{name}.log")
    report = read_audit(audit / "audit.jsonl")
    result["findings"] = {rule: count for rule, count in report.rules.items() if count}
    for kind, rules in (("copies", ("copy",)), ("near_copies", ("near_copy",))):
        named = {line_id for rule in rules for line_id in report.lines(rule)}
        result[kind] = {"planted": len(planted[kind]), "found": len(planted[kind] & named)}
    if not keep:
        shutil.rmtree(work)
    return result


def timed(command: Sequence[str], log: Path) -> dict[str, float]:
    """Run a command; return its seconds, its processor's seconds, and the most memory it had in MB.

    Raises:
        SystemExit: it fails.
    """
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    return {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss / 1024, 1),
    }


def invent(size: int, folder: Path, seed: int = 1) -> dict[str, set[str]]:
    """Write a table and a tar of lines; return the ids of planted copies by kind."""
    planted: dict[str, set[str]] = {"copies": set(), "near_copies": set()}
    with (
        (folder / "lines.csv").open("w", encoding="utf-8", newline="") as table_file,
        tarfile.open(folder / "lines.tar", "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        rows = csv.writer(table_file)
        rows.writerow(("file_name", "text", "writer", "page", "source", "tar"))
        for name, kind, image, text, number in _lines(size, np.random.default_rng(seed)):
            if kind:
                planted[kind].add(name)
            info = tarfile.TarInfo(name)
            info.size = len(image)
            tar.addfile(info, io.BytesIO(image))
            tar.members.clear()  # type: ignore[attr-defined] # or it keeps a kilobyte of every one
            writer, page = number // LINES_OF_A_WRITER, number // LINES_OF_A_PAGE
            rows.writerow((name, text, f"w{writer}", f"p{page}", f"invented {writer % 3}", "lines.tar"))
    return planted


def _lines(size: int, rng: np.random.Generator) -> Iterator[tuple[str, str, bytes, str, int]]:
    hands: dict[int, list[tuple[str, Grey]]] = {}
    number = done = 0
    while done < size:
        hand = number // LINES_OF_A_WRITER % NUM_HANDS
        if hand not in hands:
            hands[hand] = _hand(np.random.default_rng(hand))
        grey, text = _put_together(hands[hand], rng)
        forms = [("", grey)]
        if number % EVERY == EVERY // 2:
            forms.append(("copies", grey))
        if number % EVERY == EVERY // 4:
            forms.append(("near_copies", np.asarray(grey * 0.8, np.uint8)))
        for kind, form in forms[: size - done]:
            yield f"{done:08d}.png", kind, _png(form), text, number
            done += 1
        number += 1


def _hand(rng: np.random.Generator) -> list[tuple[str, Grey]]:
    style = Style.invent(rng, like=POPULATIONS["plain"])
    words = []
    for _ in range(WORDS_OF_A_HAND):
        word = "".join(rng.choice(list("abcdefghijklmnoprstuvwz"), int(rng.integers(3, 8))))
        grey = draw(word, style, rng)
        width = max(6, round(grey.shape[1] * (HEIGHT - 6) / grey.shape[0]))
        words.append((word, np.asarray(Image.fromarray(grey).resize((width, HEIGHT - 6)), np.uint8)))
    return words


def _put_together(hand: list[tuple[str, Grey]], rng: np.random.Generator) -> tuple[Grey, str]:
    chosen = [hand[at] for at in rng.integers(0, len(hand), WORDS_OF_A_LINE).tolist()]
    gaps, rises = rng.integers(2, 12, WORDS_OF_A_LINE).tolist(), rng.integers(0, 7, WORDS_OF_A_LINE).tolist()
    width = 8 + sum(grey.shape[1] for _, grey in chosen) + sum(gaps)
    line = np.full((HEIGHT, width), PAPER, np.uint8)
    left = 4
    for (_, grey), gap, rise in zip(chosen, gaps, rises, strict=True):
        place = line[rise : rise + grey.shape[0], left : left + grey.shape[1]]
        np.minimum(place, grey // LEVELS * LEVELS + LEVELS // 2, out=place)
        left += grey.shape[1] + gap
    return line, " ".join(word for word, _ in chosen)


def _png(grey: Grey) -> bytes:
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG", compress_level=3)
    return out.getvalue()


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return the figures as Markdown."""
    names = list(dict.fromkeys(name for one in found for name in one["steps"]))
    rows = ["| lines | step | seconds | of the processor | lines/s | most memory |", "|---|---|---|---|---|---|"]
    for one in found:
        for name, step in one["steps"].items():
            rate = one["lines"] / step["seconds"]
            rows.append(
                f"| {one['lines']:,} | {name} | {step['seconds']:,.0f} | {step['cpu_s']:,.0f} | {rate:,.0f} | "
                f"{step['peak_mb']:,.0f} MB |"
            )
    if len(found) > 1:
        rows += ["", "| step | time grows as lines to the power of | memory a further line |", "|---|---|---|"]
        first, last = found[0], found[-1]
        for name in names:
            if name in first["steps"] and name in last["steps"]:
                low, high = first["steps"][name], last["steps"][name]
                power = math.log(high["cpu_s"] / low["cpu_s"]) / math.log(last["lines"] / first["lines"])
                memory = (high["peak_mb"] - low["peak_mb"]) * 1e6 / (last["lines"] - first["lines"])
                rows.append(f"| {name} | {power:.2f} | {memory:,.0f} bytes |")
    for one in found:
        exact, near = one["copies"], one["near_copies"]
        rows.append(
            f"\n{one['lines']:,} lines, {one['image_bytes']:,} bytes each in the tar, invented in "
            f"{one['invented_s']:.0f} s; copies found: {exact['found']} of {exact['planted']} exact, "
            f"{near['found']} of {near['planted']} dimmed; all findings: {one['findings']}"
        )
    return "\n".join(rows) + "\n"


def curve(found: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw seconds and memory by the number of lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    for name in dict.fromkeys(name for one in found for name in one["steps"]):
        points = [(one["lines"], one["steps"][name]) for one in found if name in one["steps"]]
        lines = [count for count, _ in points]
        (drawn,) = time_axes.loglog(lines, [step["cpu_s"] for _, step in points], "o-", label=name)
        memory_axes.semilogx(lines, [step["peak_mb"] for _, step in points], "o-", label=name)
        start = points[0][1]["cpu_s"] / lines[0]
        time_axes.loglog(lines, [start * count for count in lines], ":", color=drawn.get_color(), alpha=0.5)
    time_axes.set(xlabel="lines", ylabel="seconds of one processor", title="Time (dotted: proportional)")
    memory_axes.axhline(2000, color="grey", linestyle=":")
    memory_axes.set(xlabel="lines", ylabel="MB", title="Most memory (dotted: the limit)", ylim=(0, None))
    memory_axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
