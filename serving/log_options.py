"""Flags of the prediction log, and the log that they ask for."""

import argparse
import os
from contextlib import ExitStack
from pathlib import Path

from htr.errors import SettingsError
from htr.tenants import Tenant
from serving.prediction_log import LogPolicy, PredictionLog


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    parser.add_argument(
        "--log-dir", type=Path, metavar="DIR", help="where the prediction log goes (default: none)"
    )
    parser.add_argument(
        "--log-images",
        type=float,
        metavar="SHARE",
        help="keep image and text of this share of requests, 0 to 1 (default: 0)",
    )
    parser.add_argument(
        "--log-days", type=float, metavar="N", help="remove what is older, rows and images (default: never)"
    )
    parser.add_argument(
        "--log-redact", action="store_true", help="keep no image, no text, and no request id as it was"
    )


def open_log(options: argparse.Namespace, closing: ExitStack) -> PredictionLog | None:
    """Return the log that is asked for, or None; it is closed at the end.

    Raises:
        SettingsError: the flags contradict each other.
        TenantError: its folder belongs to another tenant.
        OutputError: its folder cannot be written.
    """
    share, days = options.log_images, options.log_days
    if options.log_dir is None:
        for flag, value in (("--log-images", share), ("--log-days", days), ("--log-redact", options.log_redact)):
            if value:
                raise SettingsError(f"{flag}: there is no prediction log; give --log-dir DIR")
        return None
    if share is not None and not 0 <= share <= 1:
        raise SettingsError(f"--log-images {share:g}: expected a share of requests, 0 to 1")
    if days is not None and not 0 < days < 1e5:
        raise SettingsError(f"--log-days {days:g}: expected days above 0")
    if options.log_redact and share:
        raise SettingsError("--log-redact keeps no images; leave --log-images away")
    Tenant.of(os.environ).claim(options.log_dir)
    policy = LogPolicy(image_share=share or 0.0, days=days, redact=options.log_redact)
    log = PredictionLog(options.log_dir, policy=policy)
    closing.callback(log.close)
    return log
