"""Where an S3 server is and who we are there: from the environment, or from the usual profile files.

    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL                           the server; AWS's own without
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN     who
    AWS_REGION, AWS_DEFAULT_REGION                                  us-east-1 without
    ~/.aws/credentials, ~/.aws/config; AWS_PROFILE                  what the above do not say
    AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE                    where those files are instead

No message of this module repeats what it read.
"""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from htr.errors import SettingsError

_AWS = "https://s3.amazonaws.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Settings:
    """A server and an account; shown without the account's secrets."""

    endpoint: str
    """``http://HOST:PORT`` or ``https://HOST``."""
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)
    source: str
    """Where the keys were found, for people."""


def s3_settings(environment: Mapping[str, str]) -> S3Settings:
    """Find the server and the keys.

    Args:
        environment: the process's variables.

    Raises:
        SettingsError: there are no keys, half of them, or a file or address is none.
    """
    profile = environment.get("AWS_PROFILE", "") or environment.get("AWS_DEFAULT_PROFILE", "") or "default"
    home = Path(environment.get("HOME", "~")).expanduser()
    credentials = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE", "") or home / ".aws" / "credentials")
    config = Path(environment.get("AWS_CONFIG_FILE", "") or home / ".aws" / "config")
    told = _section(config, "default" if profile == "default" else f"profile {profile}")
    services = _section(config, f"services {told['services']}") if "services" in told else {}
    keys = told | _section(credentials, profile)
    access, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    token, source = environment.get("AWS_SESSION_TOKEN", ""), "of the environment"
    if not access and not secret:
        access, secret = keys.get("aws_access_key_id", ""), keys.get("aws_secret_access_key", "")
        token, source = keys.get("aws_session_token", ""), f"of profile {profile!r}"
    if not access or not secret:
        which = "half of the keys" if access or secret else "no keys"
        raise SettingsError(
            f"{which} for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write both into profile "
            f"{profile!r} of {credentials}"
        )
    endpoint = (
        environment.get("AWS_ENDPOINT_URL_S3", "")
        or environment.get("AWS_ENDPOINT_URL", "")
        or _nested(services.get("s3", "")).get("endpoint_url", "")
        or keys.get("endpoint_url", "")
        or _AWS
    )
    region = (
        environment.get("AWS_REGION", "") or environment.get("AWS_DEFAULT_REGION", "") or keys.get("region", "")
    )
    return S3Settings(
        endpoint=_checked_endpoint(endpoint),
        region=region or "us-east-1",
        access_key=access,
        secret_key=secret,
        session_token=token,
        source=source,
    )


def _checked_endpoint(endpoint: str) -> str:
    """Return a server's address as scheme, host and port."""
    try:
        parts = urlsplit(endpoint)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise SettingsError("the S3 endpoint is no address; give http://HOST:PORT or https://HOST") from None
    if "@" in parts.netloc:
        raise SettingsError("the S3 endpoint must not hold a user or secret; set AWS_ACCESS_KEY_ID and its secret")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError("the S3 endpoint is no address; give http://HOST:PORT or https://HOST")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError("the S3 endpoint has a path; give http://HOST:PORT or https://HOST alone")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"


def _section(file: Path, name: str) -> dict[str, str]:
    """Return one section of a profile file; {} where there is no such file or section."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, ValueError, OSError):
        # What is wrong with it would be told with the line itself, which may be the secret.
        raise SettingsError(
            f"{file}: cannot be read as a profile file of [sections] with key = value lines"
        ) from None
    return dict(parser[name]) if parser.has_section(name) else {}


def _nested(text: str) -> dict[str, str]:
    """Return the key = value lines that stand indented below a key."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}
