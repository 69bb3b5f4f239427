"""Tesseract (Apache-2.0) from the system's packages: what a reader of print makes of handwriting, untrained.

Read by:  python -P -m benchmarks.peers.tesseract read REQUEST ANSWER PROGRESS

Several threads are several programs at once, each held to one thread. It knows no batches.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.peers import reading
from benchmarks.peers.protocol import PeerAbsentError, PeerError, Site, Trained

FALLBACK = "eng"
"""The language it always comes with."""


class Tesseract:
    """Tesseract as a peer; nothing is trained."""

    name = "tesseract"

    def fingerprint(self) -> str:
        """Return the digest of this file and the program's own version."""
        from benchmarks.peers.fingerprints import of_files

        return f"{of_files(Path(__file__), Path(reading.__file__))} {_version()}"

    def prepare(self, site: Site) -> str:
        """Look for the program; return its version.

        Raises:
            PeerAbsentError: it is not installed.
        """
        if shutil.which("tesseract") is None:
            raise PeerAbsentError("not installed; on Debian: apt-get install tesseract-ocr tesseract-ocr-fra")
        return _version()

    def train(self, site: Site) -> Trained:
        """Choose the language of most test lines, where Tesseract has it."""
        folder, languages = installed_languages()
        spoken = Counter(line.language for line in site.layout.lines["test"] if line.language)
        wanted = spoken.most_common(1)[0][0] if spoken else FALLBACK
        notes = ["printed text, not trained on these lines"]
        language = wanted if wanted in languages else FALLBACK
        if language not in languages:
            raise PeerError(f"Tesseract has neither {wanted} nor {FALLBACK}; install tesseract-ocr-{wanted}")
        if language != wanted:
            notes.append(f"read with {language}, since tesseract-ocr-{wanted} is not installed")
        data = folder / f"{language}.traineddata"
        return Trained(
            model=language,
            bytes_on_disk=data.stat().st_size if data.is_file() else 0,
            notes=[*notes, f"-l {language}"],
        )

    def reader(self, site: Site) -> tuple[list[str], Mapping[str, str]]:
        """Return the reading command, which runs in our own environment."""
        return [sys.executable, "-P", "-m", "benchmarks.peers.tesseract", "read"], {"OMP_THREAD_LIMIT": "1"}


def installed_languages() -> tuple[Path, list[str]]:
    """Return the folder of the trained data, and the languages in it."""
    told = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
    head, *names = (told.stdout or told.stderr).splitlines() or [""]
    folder = head.partition('"')[2].partition('"')[0]
    return Path(folder or "."), [name.strip() for name in names]


def _version() -> str:
    if shutil.which("tesseract") is None:
        return "absent"
    told = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=False)
    words = (told.stdout or told.stderr).split()
    return words[1] if len(words) > 1 else "unknown"


class TesseractReader:
    """Starts one program for each thread on its share of the files; it reads them one by one."""

    parameters: int | None = None

    def __init__(self, model: str, threads: int) -> None:
        self._language = model
        self._threads = threads

    def read(self, files: Sequence[str], batch: int) -> Iterator[tuple[str, str]]:
        """Yield files with texts, as they come."""
        shares = [files[first :: self._threads] for first in range(self._threads)]
        with tempfile.TemporaryDirectory() as folder:
            streams = [self._pages(Path(folder) / f"{n}.txt", share) for n, share in enumerate(shares)]
            for number in range(len(files)):
                page = next(streams[number % self._threads], None)
                if page is None:
                    raise SystemExit(f"tesseract stopped at {files[number]}, number {number} of {len(files)}")
                yield files[number], page

    def _pages(self, listed: Path, files: Sequence[str]) -> Iterator[str]:
        listed.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
        # Without stdbuf the texts would wait in the program's buffer, and start-up could not be told from reading.
        command = ["stdbuf", "-oL", "tesseract", str(listed), "stdout", "--psm", "7", "--dpi", "300", "-l"]
        with subprocess.Popen(
            [*command, self._language],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        ) as program:
            assert program.stdout is not None  # noqa: S101 - it was asked for above
            pages, rest = 0, b""
            while piece := program.stdout.read1(4096):
                *whole, rest = (rest + piece).split(b"\f")  # a form feed stands between two files' pages
                for page in whole:
                    pages += 1
                    yield page.decode("utf-8", "replace")
            if pages == len(files) - 1:
                yield rest.decode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(reading.main(TesseractReader, sys.argv[2:]))
