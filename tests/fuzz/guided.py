"""One target, led by coverage: python -m tests.fuzz.guided TARGET [libFuzzer's options].

Inputs that reach new lines of ours are kept and broken further. The first that breaks a promise ends the run, and
libFuzzer writes it where -artifact_prefix says.
"""

import sys
import warnings

import atheris

with atheris.instrument_imports(include=["htr"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run one target until libFuzzer's options end it."""
    warnings.simplefilter("ignore")
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
