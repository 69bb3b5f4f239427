"""The command that reads line images."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from htr.decoding import MAX_BEAM
from htr.errors import ImageError, SettingsError
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser
from htr.verdicts import Verdict

DOUBTFUL = {
    Verdict.BLANK: "nothing on it but paper, so the text is made up",
    Verdict.TOO_LONG: "wider than is read at its height; squeezed, and read the worse for it",
    Verdict.ANIMATED: "several frames or pages; only the first was read",
}
"""What `read` says of an image whose text is not to be relied on."""

Say = Callable[[str], None]


def add_parsers(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the parser; it sets ``handler(args, say) -> exit status``."""
    verb = verbs.add_parser("read", help="read line images")
    verb.add_argument("images", type=Path, nargs="+", help="one line of handwriting each")
    verb.add_argument("--bundle", default=PRETRAINED, help="folder of a model; default: the one that ships")
    verb.add_argument("--json", action="store_true", help="one JSON array with file, text and confidence")
    verb.add_argument("--characters", action="store_true", help="with --json: place and confidence of each")
    verb.add_argument("--alternatives", type=int, default=0, metavar="N", help="with --json: the N best texts")
    verb.set_defaults(handler=_read)


def _read(args: argparse.Namespace, say: Say) -> int:
    if (args.characters or args.alternatives) and not args.json:
        raise SettingsError("--characters and --alternatives are shown as JSON only; add --json")
    if not 0 <= args.alternatives <= MAX_BEAM:
        raise SettingsError(f"--alternatives must be within 0..{MAX_BEAM}, got {args.alternatives}")
    recogniser = Recogniser.load(resolve(args.bundle))
    answers = [
        _read_file(recogniser, file, characters=args.characters, alternatives=args.alternatives)
        for file in args.images
    ]
    if args.json:
        say(json.dumps(answers, ensure_ascii=False, indent=2))
    else:
        for answer in answers:
            say(answer["text"] or "")
    for answer in answers:
        for verdict, meaning in DOUBTFUL.items():
            if verdict in answer.get("verdicts", ()):
                sys.stderr.write(f"{answer['file']}: {verdict}: {meaning}\n")
    failed = [answer for answer in answers if "error" in answer]
    for answer in failed:
        sys.stderr.write(f"error: {answer['file']}: {answer['error']}\n")
    return 2 if failed else 0


def _read_file(recogniser: Recogniser, file: Path, *, characters: bool, alternatives: int) -> dict[str, Any]:
    """Return file, text and confidence, and what else was asked for; one bad file does not spoil the others."""
    try:
        (seen,) = recogniser.observe([file.read_bytes()], characters=characters, alternatives=alternatives)
    except OSError as error:
        do = f"name its images: {file}/*.png" if isinstance(error, IsADirectoryError) else "check the path"
        return {"file": str(file), "text": None, "confidence": None, "error": f"{error.strerror}; {do}"}
    except ImageError as error:
        return {"file": str(file), "text": None, "confidence": None, "error": str(error)}
    reading = seen.reading
    answer: dict[str, Any] = {"file": str(file), "text": reading.text, "confidence": round(reading.confidence, 4)}
    answer["verdicts"] = [verdict.value for verdict in seen.verdicts]
    if characters:
        answer["characters"] = [
            {
                "character": one.character,
                "left": round(one.left, 1),
                "right": round(one.right, 1),
                "confidence": round(one.confidence, 4),
            }
            for one in reading.characters or ()
        ]
    if alternatives:
        answer["alternatives"] = [
            {"text": one.text, "log_prob": round(one.log_prob, 4), "score": round(one.score, 4)}
            for one in reading.alternatives
        ]
    return answer
