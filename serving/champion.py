"""A models:/ URI in, one immutable version and its loaded recogniser out, by way of MLflow's registry.

    models:/NAME@ALIAS     the version that the alias points to now; `serving.follow` asks again
    models:/NAME/VERSION   that version, for good

A version's files are fetched into a cache folder of its own and opened as a bundle, which checks every digest.
This is the only place of serving that knows MLflow.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from htr.bundle import MANIFEST, Bundle
from htr.errors import BundleError, QuillflowError, ServiceError, SettingsError
from serving.served import Load, Served, load_warm, serve_bundle

KEPT_IN_CACHE = 3
_URI = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelUri:
    """A registered model by alias or by version."""

    name: str
    alias: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelUri":
        """Read ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.

        Raises:
            SettingsError: it is neither.
        """
        found = _URI.fullmatch(text)
        if found is None:
            raise SettingsError(f"--model {text}: expected models:/NAME@ALIAS or models:/NAME/VERSION")
        return cls(**found.groupdict())

    def __str__(self) -> str:
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One immutable version in the registry."""

    name: str
    number: str
    identity: str
    """Short digest of when and where it was logged: registries are remade, and then numbers start again."""


class Registry:
    """MLflow's model registry, as far as serving needs it.

    Args:
        tracking_uri: where MLflow keeps its records: ``http://...`` or ``sqlite:///...``.
        cache: folder for fetched bundles; the newest few are kept.
        load: how a bundle is loaded; by default into this process.

    Raises:
        ServiceError: MLflow cannot be reached.
    """

    def __init__(self, tracking_uri: str, cache: Path, *, load: Load = load_warm) -> None:
        database = tracking_uri.removeprefix("sqlite:///")
        if database != tracking_uri and not Path(database).is_file():  # MLflow would make an empty one
            raise ServiceError(f"MLflow at {tracking_uri}: no such database; check --tracking-uri")
        self.tracking_uri = tracking_uri
        self.cache = cache
        self._load_bundle = load
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # MLflow's own patience is minutes; ours is to say so at once, and to ask again at the next poll.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
        with self._asking("connecting"):
            from mlflow import MlflowClient  # seconds to import, and not needed to serve a folder

            self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)

    def resolve(self, uri: ModelUri) -> Version:
        """Return the version that a URI stands for now.

        Raises:
            ServiceError: MLflow is away, or has no such model, alias or version.
        """
        with self._asking(f"looking up {uri}"):
            if uri.alias:
                record = self._client.get_model_version_by_alias(uri.name, uri.alias)
            else:
                record = self._client.get_model_version(uri.name, str(uri.version))
        logged = f"{self.tracking_uri} {record.creation_timestamp} {record.run_id} {record.source}"
        identity = hashlib.sha256(logged.encode()).hexdigest()[:12]
        return Version(name=uri.name, number=str(record.version), identity=identity)

    def load(self, version: Version) -> Served:
        """Fetch a version, unless it is in the cache, and load it.

        Raises:
            ServiceError: MLflow or its artifact store is away.
            BundleError: what it has is not one usable bundle.
        """
        folder = self.cache / f"{version.name}-{version.number}-{version.identity}"
        try:
            served = serve_bundle(folder, version=version.number, load=self._load_bundle)
        except BundleError:  # not there yet, or damaged since
            self._fetch(version, folder)
            served = serve_bundle(folder, version=version.number, load=self._load_bundle)
        self._prune(folder)
        return served

    def _fetch(self, version: Version, folder: Path) -> None:
        what = f"models:/{version.name}/{version.number}"
        with self._asking(f"fetching {what}"):
            from mlflow.artifacts import download_artifacts

            self.cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.cache, prefix=".fetch-") as partial:
                # Given a models:/ URI, download_artifacts ignores tracking_uri and asks whatever is set globally.
                where = self._client.get_model_version_download_uri(version.name, version.number)
                download_artifacts(where, dst_path=f"{partial}/model", tracking_uri=self.tracking_uri)
                found = [manifest.parent for manifest in Path(partial).rglob(MANIFEST)]
                if len(found) != 1:
                    raise BundleError(f"{what}: expected one bundle in it, found {len(found)}; register it again")
                try:
                    Bundle.open(found[0])
                except BundleError as error:
                    raise BundleError(str(error).replace(str(found[0]), what)) from error
                shutil.rmtree(folder, ignore_errors=True)
                found[0].replace(folder)

    def _prune(self, used: Path) -> None:
        """Forget all but the newest bundles; a loaded recogniser no longer needs its files."""
        with contextlib.suppress(OSError):  # another server may tidy the same folder
            os.utime(used)
            others = [path for path in self.cache.iterdir() if not path.name.startswith(".") and path != used]
            for path in sorted(others, key=lambda path: path.stat().st_mtime)[: 1 - KEPT_IN_CACHE]:
                shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        try:
            yield
        except QuillflowError:
            raise
        except Exception as error:  # MLflow lets through whatever its database, HTTP client or object store raises
            raise ServiceError(
                f"MLflow at {self.tracking_uri}: {doing} failed ({_reason(error)}); "
                "check that it runs and what it holds"
            ) from error


def _reason(error: BaseException) -> str:
    """Say in few words what MLflow says in many where it could not be reached."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in {"ConnectionError", "ConnectTimeout", "ReadTimeout"}:
            return "no connection"
        cause = cause.__cause__ or cause.__context__
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
