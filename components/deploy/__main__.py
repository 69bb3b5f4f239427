"""python -m components.deploy: the pipeline's last step by hand."""

import argparse
import os
import sys
from collections.abc import Sequence

from components.deploy.deploy import deploy_champion
from components.deploy.target import Target
from htr.errors import QuillflowError
from htr.tenants import Tenant
from k8s.cluster.api import find_api
from k8s.cluster.release import HTTP_ROUTE


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy; return the exit code: 0 done or nothing to do, 2 a mistake that the message explains."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    parser = argparse.ArgumentParser(
        prog="python -m components.deploy", description="Deploy the champion by digest."
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--target", default="", help="stable, canary, either with :NAMESPACE/NAME (default: none)")
    where.add_argument("--gitops", metavar="FOLDER[#NAME]", help="write a patch into this kustomize overlay")
    parser.add_argument("--commit", action="store_true", help="with --gitops: commit it")
    parser.add_argument("--model-name", default="quillflow", help="registered model (default: %(default)s)")
    parser.add_argument("--tracking-uri", default="", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI)")
    parser.add_argument("--store", default="", metavar="URI", help="s3://BUCKET/PREFIX (default: QUILLFLOW_STORE)")
    parser.add_argument("--kubernetes", default="", metavar="URL", help="its API; in a pod it is found by itself")
    parser.add_argument("--route", default=HTTP_ROUTE, help="HTTPRoute over both (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="take the address over from whoever set it")
    args = parser.parse_args(argv)
    try:
        Tenant.of(os.environ).check_options(vars(args).values())
        _, told = deploy_champion(
            Target.parse(f"gitops:{args.gitops}" if args.gitops else args.target),
            model_name=args.model_name,
            tracking_uri=args.tracking_uri,
            store=args.store,
            api=lambda: find_api(args.kubernetes),
            force=args.force,
            commit=args.commit,
            route=args.route,
        )
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
