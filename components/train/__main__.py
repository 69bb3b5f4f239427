"""``torchrun -m components.train``: what each machine of a TrainJob runs. QUILLFLOW_TRAINING says what."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from components.train.machine import train_ordered
from components.train.order import VARIABLE, Order
from htr.errors import PreemptedError, QuillflowError, SettingsError
from htr.tenants import Tenant


def main(argv: Sequence[str] | None = None) -> int:
    """Train as ordered; return the exit code: 0 done, 2 a mistake that the message explains, 143 stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m components.train", description=f"Train as {VARIABLE} says, on one of several machines."
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints that all machines see")
    args = parser.parse_args(argv)
    try:
        Tenant.of(os.environ).check_options(vars(args).values())
        if not os.environ.get(VARIABLE):
            raise SettingsError(
                f"{VARIABLE} is not set: this is started by the pipeline's train step, in a TrainJob"
            )
        train_ordered(Order.from_json(os.environ[VARIABLE]), args.work, say=_say)
    except PreemptedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return PreemptedError.EXIT_STATUS
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
