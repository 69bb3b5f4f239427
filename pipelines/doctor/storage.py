"""The object store: are our rights enough? Tried with a small object that is put, read and removed again."""

import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipelines.doctor.findings import Findings
from pipelines.doctor.services import clock, resolves
from pipelines.doctor.web import ask

PROBE = b"quillflow doctor: this may be removed\n"
TIMEOUT_S = 15.0
_DO = {
    "AccessDenied": "give the account s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket there",
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID (secret quillflow-s3)",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY (secret quillflow-s3)",
    "NoSuchBucket": "make the bucket, or correct the address",
    "RequestTimeTooSkewed": "set this machine's clock by NTP",
}


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
    parts = urlsplit(address)
    endpoint = (
        os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "https://s3.amazonaws.com"
    )
    if not parts.netloc or "@" in address:
        found.fail("store: address", "expected s3://BUCKET/PREFIX, without credentials", "correct QUILLFLOW_STORE")
        return
    if not resolves(found, "store", endpoint):
        return
    with found.looking("store: answers", "start it, or correct AWS_ENDPOINT_URL"):
        clock(found, "store", ask(endpoint, timeout_s=TIMEOUT_S))
        found.ok("store: answers", endpoint)
        _try_rights(
            found, endpoint, parts.netloc, f"{parts.path.strip('/')}/doctor/{uuid.uuid4().hex}".lstrip("/")
        )


def _try_rights(found: Findings, endpoint: str, bucket: str, key: str) -> None:
    import io

    from minio.error import S3Error

    name, doing = "store: rights", "putting"
    try:
        client = _client(endpoint)
        client.put_object(bucket, key, io.BytesIO(PROBE), len(PROBE))
        doing = "reading"
        answer = client.get_object(bucket, key)
        try:
            data = answer.read()
        finally:
            answer.close()
            answer.release_conn()
        doing = "removing"
        client.remove_object(bucket, key)
    except S3Error as error:
        do = _DO.get(str(error.code), "look at the server's log")
        left = f"; {key} is left behind" if doing == "removing" else ""
        found.fail(name, f"{doing} in bucket {bucket}: {error.code}{left}", do)
    else:
        if data != PROBE:
            found.fail(name, "what was read is not what was put", "look at the server, or a proxy before it")
        else:
            found.ok(name, f"put, read and removed in bucket {bucket}")


def _client(endpoint: str) -> Any:
    import urllib3
    from minio import Minio
    from minio.credentials.providers import AWSConfigProvider, ChainedProvider, EnvAWSProvider

    parts = urlsplit(endpoint)
    return Minio(
        parts.netloc,
        credentials=ChainedProvider([EnvAWSProvider(), AWSConfigProvider()]),
        secure=parts.scheme == "https",
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        http_client=urllib3.PoolManager(timeout=TIMEOUT_S, retries=False),
    )
