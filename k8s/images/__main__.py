"""The commands ``python -m k8s.images build | lock | bill``."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from htr.errors import QuillflowError
from k8s.images.build import BILLS, Plan, build_images, write_bill
from k8s.images.catalogue import TORCH, catalogue, images_named
from k8s.images.engine import find_engine
from k8s.images.locks import write_locks


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code, 2 for an error."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        args = _parser().parse_args(argv)
        return int(args.run(args))
    except QuillflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def build(args: argparse.Namespace) -> int:
    """Build images and list what is in them."""
    commit = _commit()
    plan = Plan(
        tag=args.tag or commit or "dev",
        commit=commit,
        base=args.base_image,
        torch=args.torch,
        # Those of this machine hold torch for processors.
        wheels=args.wheels or (_own_wheels() if args.torch == "cpu" else None),
        no_index=args.no_index,
        network=args.network,
        bills=args.bills,
    )
    build_images(images_named(args.names), plan, find_engine(args.engine), os.environ, say=_say)
    return 0


def lock(args: argparse.Namespace) -> int:
    """Write the lists of packages with their hashes."""
    for file in write_locks(os.environ):
        _say(str(file))
    return 0


def bill(args: argparse.Namespace) -> int:
    """List what is in an image that is built already."""
    _say(str(write_bill(args.image, find_engine(args.engine), Plan(tag="", commit="", bills=args.bills))))
    return 0


def _stop(*_: object) -> None:
    """Leave in order, so that the secrets of a build and the image of its wheels are removed."""
    raise SystemExit(143)


def _commit() -> str:
    from pipelines.commit import git_commit

    return git_commit()


def _own_wheels() -> Path | None:
    """Return the folder of wheels that this machine installs from, where there is one."""
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        folder = Path(os.environ.get(name, "") or "/nonexistent")
        if any(folder.glob("*.whl")):
            return folder
    return None


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m k8s.images", description="Container images of the project.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    engine = argparse.ArgumentParser(add_help=False)
    engine.add_argument(
        "--engine", default="", metavar="PROGRAM", help="docker or podman (default: the first that can)"
    )

    b = commands.add_parser("build", parents=[engine], help="build images; list what is in them in build/sbom")
    b.set_defaults(run=build)
    b.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(catalogue())} (default: all)")
    b.add_argument("--tag", default="", help="(default: the commit of the code)")
    b.add_argument("--base-image", default="", metavar="IMAGE", help="(default: what the Dockerfiles name)")
    b.add_argument("--torch", choices=TORCH, default="cpu", help="build of torch for the steps (default: cpu)")
    b.add_argument(
        "--wheels",
        type=Path,
        metavar="DIR",
        help="wheels that are used first (default: UV_FIND_LINKS or PIP_FIND_LINKS, if a folder of this machine)",
    )
    b.add_argument("--no-index", action="store_true", help="take packages from --wheels only")
    b.add_argument(
        "--bills", type=Path, default=BILLS, metavar="DIR", help="where the lists go (default: build/sbom)"
    )
    b.add_argument("--network", default="", help="network of the build: host, none (default: the program's own)")

    k = commands.add_parser("lock", help="write k8s/images/locks anew, by requirements.lock and the package index")
    k.set_defaults(run=lock)

    s = commands.add_parser("bill", parents=[engine], help="list what is in an image as CycloneDX JSON")
    s.set_defaults(run=bill)
    s.add_argument("--bills", type=Path, default=BILLS, metavar="DIR", help="where it goes (default: build/sbom)")
    s.add_argument("image", metavar="NAME:TAG")
    return parser


if __name__ == "__main__":
    sys.exit(main())
