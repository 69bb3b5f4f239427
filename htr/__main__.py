"""python -m htr import | synth | train | evaluate | tune | read."""

import argparse
import io
import sys
import warnings

from htr import __version__, commands_data, commands_model
from htr.errors import QuillflowError


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 2 a mistake that the message explains."""
    parser = argparse.ArgumentParser(prog="python -m htr", description="Handwriting in, text out.")
    parser.add_argument("--version", action="version", version=f"quillflow {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    commands_data.add_parsers(verbs)
    commands_model.add_parsers(verbs)
    args = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # handwriting has more than the terminal's ASCII
        sys.stdout.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module="PIL")
    try:
        status: int = args.handler(args, print)
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(
            f"error: this command needs the package {error.name!r}: pip install 'quillflow[train]'",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:  # the reader had enough: | head
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
