"""What a page over HTTP costs: one process, a transformer before it, and no server at all, in one run.

    python -m benchmarks.serving_pages [PAGE ...] [--bundle DIR] [--threads 2] [--repeat 7]

Without pages, one of 25 invented lines is drawn (benchmarks/invented_page.py). Seconds are by the clock from
before the request is sent until its answer is there, the median of some; processor seconds are those of all
processes. Plain asks for lines and text alone, all for text, ALTO, PDF, overlay, crops, characters and five
alternatives. Fails where the two servers differ in a byte, or a text differs from what is read here.
"""

import argparse
import base64
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.invented_page import invented_page
from benchmarks.serving_load import Client
from benchmarks.serving_targets import Target, served, transformer
from htr.layout.files import PageFile
from htr.pages.reading import read_page
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser

PATH = "/v1/models/pages:predict"
PLAIN: dict[str, Any] = {}
ALL = {"formats": ["text", "alto", "pdf", "overlay"], "crops": True, "characters": True, "alternatives": 5}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print; return 1 where an answer is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="benchmarks.serving_pages")
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--bundle", default=PRETRAINED)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=7)
    args = parser.parse_args(argv)
    bundle = resolve(args.bundle)
    recogniser = Recogniser.load(bundle)
    files = {path.name: path.read_bytes() for path in args.pages} or {"invented, 25 lines": _invented()}
    differ = 0
    print("page                 lines  here  plain: one, two processes  all: one, two  processor, all: one, two")
    with (
        tempfile.TemporaryDirectory() as folder,
        served(bundle, Path(folder) / "one", threads=args.threads) as one,
        transformer(one, Path(folder) / "two", threads=args.threads) as two,
    ):
        for name, data in files.items():
            texts, here = _timed(lambda data=data: _read(recogniser, data), args.repeat)
            cells, last = [], []
            for parameters in (PLAIN, ALL):
                for target, processes in ((one, [one]), (two, [one, two])):
                    body = _body(data, parameters)
                    used = sum(process.processor_s() for process in processes)
                    answer, seconds = _timed(lambda t=target, b=body: _ask(t, b), args.repeat)
                    used = sum(process.processor_s() for process in processes) - used
                    cells.append((seconds, used / args.repeat))
                    last.append(answer)
            found = [line["text"] for page in last[0]["predictions"][0]["pages"] for line in page["lines"]]
            differ += found != texts or any(
                json.dumps(a["predictions"]) != json.dumps(b["predictions"]) for a, b in (last[:2], last[2:])
            )
            (a, _), (b, _), (c, p), (d, q) = cells
            print(f"{name:20} {len(texts):5}  {here:.2f}  {a:.2f}, {b:.2f}  {c:.2f}, {d:.2f}  {p:.2f}, {q:.2f}")
    print(f"{differ} pages differ")
    return 1 if differ else 0


def _timed(work: Callable[[], Any], repeat: int) -> tuple[Any, float]:
    """Return the last result and the median of the seconds."""
    took, result = [], None
    for _ in range(repeat):
        started = time.perf_counter()
        result = work()
        took.append(time.perf_counter() - started)
    return result, statistics.median(took)


def _read(recogniser: Recogniser, data: bytes) -> list[str]:
    pages = PageFile.of_bytes(data).pages()
    return [line.text for page in pages for line in read_page(recogniser, page.grey()).lines]


def _body(data: bytes, parameters: dict[str, Any]) -> bytes:
    instance = {"image": {"b64": base64.b64encode(data).decode()}}
    return json.dumps({"instances": [instance], "parameters": parameters}).encode()


def _ask(target: Target, body: bytes) -> dict[str, Any]:
    client = Client(target.url, PATH)
    answer = client.send(body, 0)
    client.close()
    if answer.status != 200:
        raise SystemExit(f"error: {target.name} answered {answer.status}: {answer.body.get('error')}")
    return answer.body


def _invented() -> bytes:
    grey, _ = invented_page(25, seed=1, degrees=1.5)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
