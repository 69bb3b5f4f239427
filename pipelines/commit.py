"""Which commit of the code runs."""

import subprocess
from pathlib import Path


def git_commit() -> str:
    """Return the commit of the code, marked when files differ from it, or "" outside a repository."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()
