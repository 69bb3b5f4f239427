"""Which version the MLflow registry calls champion, and the way back to the one before it: a home of MLflow.

The aliases are those of the pipeline's promote step: ``champion`` serves, ``previous`` served before.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from htr.errors import ServiceError
from monitoring.governor.addresses import without_user_info
from monitoring.governor.events import Champion

CHAMPION, PREVIOUS = "champion", "previous"
DIGEST_TAG, CER_TAG, ASKED_BY_TAG, TAKEN_BACK_TAG = "bundle_digest", "cer", "asked_by", "rolled_back"


@dataclass(kw_only=True)
class MlflowRegistry:
    """The registered model's aliases."""

    tracking_uri: str
    """``http://...``, or ``sqlite:///...`` on one machine."""
    name: str = "quillflow"
    _made: Any = field(default=None, repr=False)

    def champion(self) -> Champion | None:
        """Return the champion and the version before it; None where there is no champion yet."""
        database = self.tracking_uri.removeprefix("sqlite:///")
        if database != self.tracking_uri and not Path(database).exists():
            return None  # no training has been here; MLflow would make an empty database
        with self._asking() as client:
            now = _version_at(client, self.name, CHAMPION)
            if now is None:
                return None
            before = _version_at(client, self.name, PREVIOUS)
            known = before is not None and before.version != now.version
            return Champion(
                version=str(now.version),
                digest=_digest(now),
                previous=str(before.version) if known else "",
                previous_digest=_digest(before) if known else "",
                cer=_fraction(now.tags.get(CER_TAG)),
            )

    def asked_by(self, version: str) -> str:
        """Return the key of the governor's training that brought a version; "" for any other version."""
        with self._asking() as client:
            return str(client.get_model_version(self.name, version).tags.get(ASKED_BY_TAG, ""))

    def was_taken_back(self, digest: str) -> bool:
        """Return whether a version with this bundle (``sha256:...``) lost the alias because it did worse."""
        with self._asking() as client:
            found = client.search_model_versions(f"name = '{self.name}' and tags.{DIGEST_TAG} = '{digest}'")
            return any(one.tags.get(TAKEN_BACK_TAG) == "true" for one in found)

    def move_back(self, champion: Champion) -> tuple[bool, str]:
        """Give the alias back to the version before; where somebody else moved it meanwhile, let it be.

        Args:
            champion: the one that is to lose it, and with it the version that had it before.
        """
        with self._asking() as client:
            now = _version_at(client, self.name, CHAMPION)
            if now is None or not champion.previous:
                return False, "there is no version to go back to"
            if str(now.version) == champion.previous:  # a kill came between the act and its record, or its tag
                client.set_model_version_tag(self.name, champion.version, TAKEN_BACK_TAG, "true")
                return True, f"version {champion.previous} is champion again"
            if str(now.version) != champion.version:
                return False, f"version {now.version} is champion now; somebody else moved the alias"
            client.set_registered_model_alias(self.name, CHAMPION, champion.previous)
            client.set_model_version_tag(self.name, champion.version, TAKEN_BACK_TAG, "true")
        return True, f"version {champion.previous} is champion again"

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        # MLflow's own patience is minutes; ours is to say so, and to ask again at a later turn.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
        try:
            if self._made is None:
                from mlflow import MlflowClient  # takes seconds

                self._made = MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)
            yield self._made
        except Exception as error:  # MLflow lets through whatever its database or HTTP client raises
            # An address that does not answer is told with the whole connection pool: its last part is the reason.
            said = str(error).strip().rpartition("Caused by ")[2] or type(error).__name__
            said = without_user_info(" ".join(said.split()), self.tracking_uri)[:300]
            raise ServiceError(f"MLflow at {without_user_info(self.tracking_uri)}: {said}") from error


def _version_at(client: Any, name: str, alias: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:  # no model, no such alias
            return None
        raise


def _fraction(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:  # somebody's own tag of that name
        return None


def _digest(version: Any) -> str:
    return str(version.tags.get(DIGEST_TAG) or f"version {version.version}")
