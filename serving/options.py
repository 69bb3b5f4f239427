"""Flags that every server of ours has: threads, limits, who may ask, address."""

import argparse
import os
from pathlib import Path

from serving.access import TOKEN_VARIABLE
from serving.limits import Limits

EPILOG = """Every other flag of KServe's model server works too, --enable_grpc, --max_threads,
--grpc_max_receive_message_length, --ssl_certfile, --log_config_file and so on; only --workers must stay 1."""


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    parser.add_argument(
        "--threads",
        type=count,
        default=min(4, num_cores()),
        help="requests read at the same time (default: %(default)s)",
    )
    parser.add_argument(
        "--queue",
        type=count,
        metavar="N",
        help="requests that may wait for a thread; more are refused with 429 (default: two a thread)",
    )
    parser.add_argument(
        "--timeout-s",
        type=seconds,
        default=Limits().max_seconds,
        help="a request not answered by then is refused with 503 (default: %(default)s)",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"clients must send the token in it (default: what {TOKEN_VARIABLE} holds, or none)",
    )
    parser.add_argument(
        "--no-token",
        action="store_true",
        help="serve a network without one: something else guards it",
    )
    parser.add_argument(
        "--write-rate",
        type=rate,
        default=600,
        metavar="N",
        help="corrections that one client may send a minute, 0: as many as it likes (default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to bind, 0.0.0.0 for every network (default: %(default)s)",
    )
    parser.add_argument("--http_port", type=int, default=8080, help="0: any free one (default: %(default)s)")
    parser.add_argument("--grpc_port", type=int, default=8081, help="0: any free one (default: %(default)s)")


def num_cores() -> int:
    """Return the cores that this process may use, which in a container or under taskset are not the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seconds(text: str) -> float:
    """Return a flag's value in seconds, above 0."""
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text}")
    return value


def rate(text: str) -> int:
    """Return a flag's whole number, at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected at least 0, got {text}")
    return value


def count(text: str) -> int:
    """Return a flag's whole number, at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return value
