"""python -m htr import | export | split | audit | synth | train | search | evaluate | calibrate | tune | read.

``pages`` reads whole pages; ``publish | fetch | versions | diff`` keep versions in an object store;
``keys | sign | verify`` are about who vouches for a bundle; ``claim`` says whose a folder is.
"""

import argparse
import io
import os
import sys
import warnings

from htr import __version__
from htr.errors import PreemptedError, QuillflowError
from htr.tenants import Tenant

try:
    from htr.commands import (
        audit,
        data,
        lines,
        model,
        pages,
        read,
        search,
        signing,
        tenants,
        versions,
    )
except ModuleNotFoundError as missing:  # a clone read by a Python that knows nothing of its environment
    if (missing.name or "").partition(".")[0] == "htr":
        raise
    sys.exit(
        f"error: {missing.name!r} is not installed in this Python; in a clone: make setup, then .venv/bin/python"
    )


_EXTRAS = {
    "optuna": "search",
    "scipy": "search",
    "matplotlib": "search",
    "cv2": "pages",
    "pypdfium2": "pages",
    "minio": "store",
    "urllib3": "store",
    "model_signing": "signing",
    "cryptography": "signing",
    "OpenSSL": "signing",
}
"""Packages that the light install lacks -> the extra that brings them; all others come with ``train``."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 2 a mistake that the message explains."""
    parser = argparse.ArgumentParser(prog="python -m htr", description="Handwriting in, text out.")
    parser.add_argument("--version", action="version", version=f"quillflow {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    data.add_parsers(verbs)
    lines.add_parsers(verbs)
    audit.add_parsers(verbs)
    model.add_parsers(verbs)
    read.add_parsers(verbs)
    pages.add_parsers(verbs)
    search.add_parsers(verbs)
    signing.add_parsers(verbs)
    versions.add_parsers(verbs)
    tenants.add_parsers(verbs)
    args = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # handwriting has more than the terminal's ASCII
        sys.stdout.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module="PIL")
    try:
        Tenant.of(os.environ).check_options(vars(args).values())
        status: int = args.handler(args, print)
    except PreemptedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return PreemptedError.EXIT_STATUS
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(package, "train")
        print(
            f"error: this command needs the package {package!r}: pip install 'quillflow[{extra}]'",
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
