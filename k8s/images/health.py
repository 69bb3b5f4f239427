"""HEALTHCHECK of the images: exit 0 where QUILLFLOW_HEALTH answers that all is well, 1 otherwise.

On Kubernetes the probes of the manifests do this; Docker and Podman have nothing else.
"""

import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    """Ask; a proxy is never asked in between."""
    url = os.environ.get("QUILLFLOW_HEALTH", "")
    if not url.startswith(("http://", "https://")):
        print(f"QUILLFLOW_HEALTH: expected http://... or https://..., got {url!r}", file=sys.stderr)  # noqa: T201
        return 1
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=4):
            return 0
    except (OSError, urllib.error.URLError) as error:
        print(f"{url}: {error}", file=sys.stderr)  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main())
