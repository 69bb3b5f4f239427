"""python -m components.champion: the champion's bundle into a folder, for who needs it outside of the pipeline."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from components.champion.fetch import fetch_champion
from htr.errors import QuillflowError, ServiceError
from htr.tenants import Tenant


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch it; return the exit code: 0 it is there, 2 there is none, or another reason that is said."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    parser = argparse.ArgumentParser(prog="python -m components.champion", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the bundle")
    parser.add_argument("--model-name", default="quillflow", help="registered model (default: %(default)s)")
    parser.add_argument("--tracking-uri", default="", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI)")
    args = parser.parse_args(argv)
    try:
        Tenant.of(os.environ).check_options(vars(args).values())
        version = fetch_champion(args.model_name, args.tracking_uri, args.out)
        if not version:
            raise ServiceError(f"{args.model_name}: no champion yet; the pipeline's gate has promoted none")
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.model_name} version {version}: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
