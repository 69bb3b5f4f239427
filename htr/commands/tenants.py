"""The command ``claim``: a folder becomes a tenant's, with all that lies below it."""

import argparse
import os
from pathlib import Path

from htr.commands.shown import Say
from htr.tenants import VARIABLE, Tenant


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command; it sets ``handler`` to a function of (arguments, say) that returns an exit code."""
    claim = subparsers.add_parser(
        "claim",
        help="make a folder, with all that lies below it, this process's tenant's",
        description=f"Mark a folder as the tenant's that {VARIABLE} names. Processes of others then refuse it. "
        "Done again it changes nothing; a folder of another tenant is refused.",
    )
    claim.add_argument("folder", type=Path, metavar="FOLDER", help="made when missing; it may hold data already")
    claim.set_defaults(handler=run_claim)


def run_claim(args: argparse.Namespace, say: Say) -> int:
    """Handle ``claim``."""
    tenant = Tenant.of(os.environ)
    tenant.mark(args.folder)
    say(f"{args.folder}: belongs to tenant {tenant.name}")
    return 0
