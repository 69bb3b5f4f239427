"""The object store: are our rights enough? Tried with a small object that is put, read and removed again.

It has one name, so that an account that may not remove anything leaves one, however often it looks.
"""

import os
import shutil
import tempfile
from pathlib import Path

from htr.errors import StoreError
from htr.versions import store_uri
from htr.versions.credentials import S3Settings, s3_settings
from pipelines.doctor.findings import Findings
from pipelines.doctor.services import clock, resolves
from pipelines.doctor.web import ask

PROBE = b"quillflow doctor: this may be removed\n"
TIMEOUT_S = 15.0


def check_store(found: Findings, address: str) -> None:
    """Check the store of versions: a folder, or S3."""
    if not address:
        found.skip("store", "no address (--store, QUILLFLOW_STORE): versions are kept in MLflow only")
    elif address.startswith("s3://"):
        _check_s3(found, address)
    else:
        _check_folder(found, Path(address.removeprefix("file://")))


def _check_folder(found: Findings, folder: Path) -> None:
    with found.looking("store: rights", "make the folder, or give yourself rights to it"):
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as probe:
            probe.write(PROBE)
            probe.flush()
            if Path(probe.name).read_bytes() != PROBE:
                found.fail("store: rights", f"{folder} gives back other bytes", "look at its file system")
                return
        free = shutil.disk_usage(folder).free
        found.ok("store: rights", f"put, read and removed in {folder}; {free / 2**30:,.1f} GiB free")


def _check_s3(found: Findings, address: str) -> None:
    do = "correct QUILLFLOW_STORE and the AWS_* variables (ConfigMap quillflow-settings, secret quillflow-s3)"
    with found.looking("store: address", do):
        uri, settings = store_uri(address), s3_settings(os.environ)
        if not resolves(found, "store", settings.endpoint):
            return
        with found.looking("store: answers", "start it, or correct AWS_ENDPOINT_URL"):
            clock(found, "store", ask(settings.endpoint, timeout_s=TIMEOUT_S))
            found.ok("store: answers", settings.endpoint)
            _try_rights(found, uri, settings)


def _try_rights(found: Findings, uri: str, settings: S3Settings) -> None:
    import io

    from htr.versions.s3.connection import Connection
    from htr.versions.s3.objects import S3Objects

    connection = Connection(uri, settings)
    client, bucket, name = connection.client, connection.bucket, connection.name("doctor/probe")
    do = "give the account s3:PutObject, s3:GetObject and s3:ListBucket there; mind the clock"
    with found.looking("store: rights", do):
        with connection.failures("put an object"):
            client.put_object(bucket, name, io.BytesIO(PROBE), len(PROBE))
        with connection.failures("read an object"):
            answer = client.get_object(bucket, name)
            try:
                data = answer.read()
            finally:
                answer.close()
        try:
            with connection.failures("remove an object"):
                client.remove_object(bucket, name)
            removed = "put, read and removed"
        except StoreError:  # only `forget` and `versions` remove anything: who publishes needs no right to
            removed = f"put and read, not removed: {name} stays, and nobody can forget lines by this account"
        if data != PROBE:
            found.fail(
                "store: rights", "what was read is not what was put", "look at the server, or a proxy before it"
            )
            return
        found.ok("store: rights", f"{removed} in bucket {bucket}")
        with found.looking("store: conditions", "update the server, or use another one"):
            S3Objects(uri, settings=settings).prepare()
            found.ok("store: conditions", "writes of two at once cannot overwrite each other")
