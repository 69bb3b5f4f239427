"""A real S3 server for tests: Ceph's RADOS Gateway over one monitor and one OSD that keeps all in memory.

    with gateway(folder) as s3:
        s3.environment()    AWS_* variables of a user who may do everything

The programs are in Debian's packages ceph-mon, ceph-osd and radosgw. Authentication is on: cephx, and S3's.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin", "setpriv")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
"""Programs that are not installed: tests that need a gateway skip and name them."""

_CONFIG = """
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{mon_port}
mon_initial_members = a
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {folder}/keyring
run_dir = {folder}
admin_socket = {folder}/$name.asok
pid_file =
log_file = {folder}/$name.log
log_to_stderr = false
mon_cluster_log_file = {folder}/cluster.log
mon_data = {folder}/mon
osd_data = {folder}/osd
public_addr = 127.0.0.1
ms_bind_msgr2 = false
ms_bind_ipv6 = false
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_crush_update_on_start = false
osd_objectstore = memstore
memstore_device_bytes = 4294967296
mon_osd_full_ratio = 0.99
osd_heartbeat_grace = 120
osd_op_num_shards = 1
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_thread_pool_size = 32
rgw_enable_gc_threads = false
rgw_enable_lc_threads = false
rgw_enable_quota_threads = false
rgw_enable_ops_log = false
rgw_enable_usage_log = false
rgw_run_sync_thread = false
rgw_rados_pool_pg_num_min = 1
rgw_data = {folder}/rgw
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """Who may do something at the gateway."""

    access_key: str
    secret_key: str


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A gateway that runs."""

    folder: Path
    port: int
    owner: User

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, user: User | None = None) -> dict[str, str]:
        """Return the variables by which a client finds it, as a user; the owner by default."""
        who = user or self.owner
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": who.access_key,
            "AWS_SECRET_ACCESS_KEY": who.secret_key,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "no-credentials"),
            "AWS_CONFIG_FILE": str(self.folder / "no-config"),
        }

    def add_user(self, name: str) -> User:
        """Make a user who may do nothing to anybody else's buckets."""
        told = self._admin("user", "create", f"--uid={name}", f"--display-name={name}")
        (key,) = json.loads(told)["keys"]
        return User(access_key=key["access_key"], secret_key=key["secret_key"])

    def _admin(self, *arguments: str) -> str:
        return _run("radosgw-admin", "-c", self.folder / "ceph.conf", "-n", "client.admin", *arguments)


@contextmanager
def gateway(folder: Path) -> Iterator[Gateway]:
    """Start a gateway whose state lies in a folder, and stop it in the end."""
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir(parents=True)
    mon_port, port = _free_ports(2)
    fsid = str(uuid.uuid4())
    config = folder / "ceph.conf"
    config.write_text(_CONFIG.format(fsid=fsid, mon_port=mon_port, port=port, folder=folder), encoding="utf-8")
    _make_keys(folder)
    children: list[subprocess.Popen[bytes]] = []
    try:
        _run(
            "monmaptool",
            "--create",
            "--fsid",
            fsid,
            "--addv",
            "a",
            f"[v1:127.0.0.1:{mon_port}]",
            folder / "monmap",
        )
        _run(
            "ceph-mon",
            "-c",
            config,
            "-i",
            "a",
            "--mkfs",
            "--monmap",
            folder / "monmap",
            "--keyring",
            folder / "keyring",
        )
        children.append(_start(folder, "ceph-mon", "-c", config, "-i", "a", "-f"))
        _add_osd(folder, config)
        children.append(_start(folder, "ceph-osd", "-c", config, "-i", "0", "-f"))
        children.append(_start(folder, "radosgw", "-c", config, "-n", "client.admin", "-f"))
        owner = _make_owner(config)
        _wait_for(port, children[-1], folder)
        yield Gateway(folder=folder, port=port, owner=owner)
    finally:
        for child in reversed(children):
            child.send_signal(signal.SIGKILL)  # all of it is in memory: there is nothing to save
            child.wait()


def _make_keys(folder: Path) -> None:
    keyring = folder / "keyring"
    _run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    everything = [part for service in ("mon", "osd", "mgr", "mds") for part in ("--cap", service, "allow *")]
    _run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *everything)


def _add_osd(folder: Path, config: Path) -> None:
    osd_uuid = str(uuid.uuid4())
    key = _run("ceph-authtool", "--gen-print-key").strip()
    _ceph(config, "osd", "new", osd_uuid, "0", "-i", "-", given=json.dumps({"cephx_secret": key}))
    _ceph(config, "osd", "crush", "add", "osd.0", "1", "root=default")
    own = folder / "osd" / "keyring"
    own.write_text(f"[osd.0]\nkey = {key}\n", encoding="utf-8")
    with (folder / "keyring").open("a", encoding="utf-8") as out:
        out.write(own.read_text(encoding="utf-8"))
    _run("ceph-osd", "-c", config, "-i", "0", "--mkfs", "--osd-uuid", osd_uuid)


def _make_owner(config: Path) -> User:
    owner = User(access_key="OWNER" + uuid.uuid4().hex[:15].upper(), secret_key=uuid.uuid4().hex)
    keys = (f"--access-key={owner.access_key}", f"--secret-key={owner.secret_key}")
    _run(
        "radosgw-admin",
        "-c",
        config,
        "-n",
        "client.admin",
        "user",
        "create",
        "--uid=owner",
        "--display-name=owner",
        *keys,
    )
    return owner


def _ceph(config: Path, *arguments: str, given: str = "") -> str:
    return _run("ceph", "-c", config, "-n", "client.admin", "--connect-timeout", "30", *arguments, given=given)


def _wait_for(port: int, child: "subprocess.Popen[bytes]", folder: Path, timeout_s: float = 120.0) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and child.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    log = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.out"))
    raise RuntimeError(f"no gateway on port {port} after {timeout_s:.0f} s:\n{log}")


def _start(folder: Path, program: str, *arguments: Any) -> "subprocess.Popen[bytes]":
    with (folder / f"{program}.out").open("wb") as out:
        # It dies with us, however we die.
        command = ["setpriv", "--pdeathsig", "KILL", program, *map(str, arguments)]
        return subprocess.Popen(command, stdout=out, stderr=out, env=_environment())


def _run(program: str, *arguments: Any, given: str = "") -> str:
    done = subprocess.run(
        [program, *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=_environment(),
    )
    if done.returncode:
        raise RuntimeError(f"{program} {arguments}: {done.stderr[-2000:]}")
    return done.stdout


def _environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("CEPH_", "PYTHON"))}


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
