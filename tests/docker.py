"""A Docker of the tests' own: a daemon that nobody else sees, a Debian base image, and the project's images in it.

Everything lies in one folder that goes when the block ends; only the base, 200 MB, stays in the user's cache.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from k8s.images.catalogue import images_named
from k8s.images.engine import Engine, find_engine
from pipelines.commit import git_commit
from tests.servers import ROOT

SUITE = "bookworm"
"""Its Python is 3.11, for which the lists of packages were made."""
BASE = "quillflow-tests/debian:bookworm"
TAG = "tested"
USER = "10001:10001"
NEEDED_GB = 6
"""What the serving image takes while it is built: packages as fetched, unpacked and installed, and two layers."""
ALL_NEEDED_GB = 16
"""The same for all images."""
ALONE = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")
ALONE += ("--user", USER, "--pids-limit", "200", "--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=512m")  # noqa: S108
"""What the cluster's policy asks of a container, and no network at all."""


@dataclass(frozen=True, kw_only=True)
class Docker:
    """A running daemon of ours."""

    host: str
    engine: Engine
    folder: Path
    """For what containers are to see; everybody may read it."""
    commits: dict[str, str] = field(default_factory=dict)
    """Image -> the code's commit when its build began: whoever waits for a build edits meanwhile."""

    def run(self, image: str, *words: str, options: Sequence[str] = ()) -> str:
        """Run a container to its end as the cluster would, and return what it printed."""
        return self.engine.run("run", "--rm", *ALONE, *options, image, *words)

    def python(self, image: str, code: str) -> Any:
        """Run Python in an image; return what it printed, as JSON."""
        return json.loads(self.run(image, "-c", code, options=["--entrypoint", "python"]))

    def inspect(self, image: str) -> dict[str, Any]:
        """Return what the daemon knows of an image."""
        (told,) = json.loads(self.engine.run("image", "inspect", image))
        return dict(told)

    @contextmanager
    def started(self, image: str, *words: str, options: Sequence[str] = ()) -> Iterator[str]:
        """Run a container until the block ends; yields its id."""
        name = self.engine.run("run", "--detach", *ALONE, *options, image, *words).strip()
        try:
            yield name
        finally:
            self.engine.run("rm", "--force", name)

    def pid(self, container: str) -> int:
        """Return the process of a running container, as this machine numbers it."""
        return int(self.engine.run("inspect", "--format", "{{.State.Pid}}", container))

    def healthy(self, container: str, *, timeout_s: float = 120) -> None:
        """Wait until a container's own health check says that all is well."""
        until = time.monotonic() + timeout_s
        while (state := self._state(container))["Health"]["Status"] != "healthy":
            told = f"{state}: {self.engine.run('logs', container)}"
            assert state["Running"], told
            assert time.monotonic() < until, told
            time.sleep(0.2)

    def _state(self, container: str) -> dict[str, Any]:
        return dict(json.loads(self.engine.run("inspect", "--format", "{{json .State}}", container)))

    def shared_folder(self, name: str, *, source: Path | None = None, writable: bool = False) -> Path:
        """Make a folder that a container may read, or write to as the user that it runs as."""
        path = self.folder / name
        if source is not None:
            shutil.copytree(source, path)
        else:
            path.mkdir()
        for one in [path, *path.rglob("*")]:
            one.chmod(0o755 if one.is_dir() else 0o644)
            if writable:
                os.chown(one, 10001, 10001)
        return path


def build(docker: Docker, name: str, *, environ: Mapping[str, str] | None = None) -> str:
    """Build an image by the project's own command; return its full name."""
    command = [sys.executable, "-m", "k8s.images", "build", name, "--engine", docker.engine.program, "--tag", TAG]
    command += ["--base-image", BASE, "--network", "host", "--bills", str(docker.folder / "bills")]
    (image,) = images_named([name])
    docker.commits[image.tagged(TAG)] = git_commit()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": docker.host, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    return image.tagged(TAG)


@contextmanager
def running_docker(needed_gb: int) -> Iterator[Docker]:
    """Start a daemon with the base image in it; skip the test where that cannot be.

    Args:
        needed_gb: space that it may take.
    """
    for program in ("dockerd", "debootstrap", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            pytest.skip(f"no program {program} here (tests/debian-packages.sh installs it)")
    if os.geteuid() != 0:
        pytest.skip("only root can start dockerd")
    # Short: sockets lie below it, and their names may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="qf-docker-"))
    try:
        _make_room(folder, needed_gb)
        base = _debian_base()
        with _daemon(folder) as host:
            found = find_engine("/usr/bin/docker")
            engine = Engine(program=found.program, environ={**found.environ, "DOCKER_HOST": host})
            engine.run("import", base, BASE)
            shared = folder / "shared"
            shared.mkdir()
            folder.chmod(0o755)
            yield Docker(host=host, engine=engine, folder=shared)
    finally:
        _remove(folder)


@contextmanager
def _daemon(folder: Path) -> Iterator[str]:
    host = f"unix://{folder}/socket"
    command = ["setpriv", "--pdeathsig", "TERM", "dockerd", "--host", host, "--pidfile", f"{folder}/pid"]
    command += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--storage-driver", "overlay2"]
    command += [
        "--iptables=false",
        "--bridge=none",
    ]  # so nothing of the machine's network is touched
    log = folder / "log"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True) as daemon:
        try:
            _wait_for(daemon, host, log)
            yield host
        finally:
            daemon.terminate()
            try:
                daemon.wait(timeout=60)
            finally:
                daemon.kill()


def _make_room(folder: Path, needed_gb: int) -> None:
    """Mount something at a folder that goes as a whole: disks take minutes to remove so many files one by one.

    Memory where there is plenty, else a file with a file system in it; the folder itself where neither can be had.
    """
    memory = Path("/proc/meminfo").read_text()
    available_gb = int(memory.partition("MemAvailable:")[2].split()[0]) / 1e6
    if available_gb > 2 * needed_gb and _mounted(
        "-t", "tmpfs", "-o", f"size={needed_gb}g", "quillflow-tests", folder
    ):
        return
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < needed_gb:
        pytest.skip(f"building images needs {needed_gb} GB in {folder.parent}, and {free_gb:.0f} are free")
    if shutil.which("mkfs.ext4") is None:
        return
    disk = _disk_of(folder)
    with disk.open("wb") as file:
        file.truncate(needed_gb * 10**9)  # takes up what is written to it, not more
    made = subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", disk], capture_output=True, check=False)
    if made.returncode or not _mounted("-o", "loop,noatime", disk, folder):
        disk.unlink()


def _mounted(*words: str | Path) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


def _disk_of(folder: Path) -> Path:
    return folder.with_suffix(".ext4")


def _wait_for(daemon: subprocess.Popen[bytes], host: str, log: Path, timeout_s: float = 60) -> None:
    until = time.monotonic() + timeout_s
    command = ["/usr/bin/docker", "--host", host, "version"]
    while subprocess.run(command, capture_output=True, check=False).returncode:
        if daemon.poll() is not None or time.monotonic() > until:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            pytest.skip(f"dockerd does not start here: {' '.join(last)}")
        time.sleep(0.1)


def _debian_base() -> Path:
    """Make a minimal Debian with Python, once; return its tar."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quillflow"
    tar = cache / f"debian-{SUITE}-python.tar"
    if tar.exists():
        return tar
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="qf-debian-") as name:
        root = Path(name) / "root"
        command = ["debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", SUITE]
        done = subprocess.run([*command, str(root), *_mirror()], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"debootstrap failed: {(done.stdout + done.stderr).strip().splitlines()[-1:]}")
        for folder in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / folder)
        part = tar.with_suffix(".part")
        subprocess.run(["tar", "-C", str(root), "-cf", str(part), "."], check=True)
        part.replace(tar)
    return tar


def _mirror() -> list[str]:
    """Return the mirror that this machine's apt uses; none where apt does not tell, for debootstrap's own."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {SUITE}"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return told[:1]


def _remove(folder: Path) -> None:
    """Remove a daemon's folder, and whatever a killed one left mounted in it."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    ours = sorted((one for one in mounts if Path(one).is_relative_to(folder)), reverse=True)
    for mount in ours:
        if subprocess.run(["umount", mount], capture_output=True, check=False).returncode:
            subprocess.run(["umount", "--lazy", mount], check=False)
    _disk_of(folder).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
