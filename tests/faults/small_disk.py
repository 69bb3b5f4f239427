"""A disk of a few kilobytes: a tmpfs that root mounts on a folder, made larger when somebody has cleared up."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LARGE = 64 * 2**20


def has_small_disks(folder: Path) -> bool:
    """Return whether this user, in this container, may mount one."""
    if os.geteuid() != 0:
        return False
    probe = folder / "probe"
    probe.mkdir(parents=True, exist_ok=True)
    mounted = _mount(["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(probe)])
    if mounted:
        subprocess.run(["umount", str(probe)], check=True)
    return mounted


@contextmanager
def small_disk(folder: Path, *, wanted: bool = True) -> Iterator[Callable[[int], None]]:
    """Mount one on a folder until the block ends; yields what sets its size in bytes, rounded up to pages."""

    def resize(size: int) -> None:
        assert _mount(["-o", f"remount,size={max(4096, size)}", str(folder)])

    if not wanted:
        yield resize
        return
    assert _mount(["-t", "tmpfs", "-o", f"size={LARGE}", "tmpfs", str(folder)])
    try:
        yield resize
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mount(arguments: list[str]) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
