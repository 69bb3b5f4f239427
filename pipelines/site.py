"""What a cluster wants of the pipelines: one TOML file of a site instead of edits to the DAG.

Without a file everything has the defaults below. docs/kubeflow.md shows a whole file.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from components.image import PIPELINE_IMAGE, gpus, trials_at_once
from htr.errors import SettingsError
from htr.tenants import DEFAULT, Tenant

FORMAT_VERSION = 1
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[KMGTPE]i?)?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_OPERATORS, _EFFECTS = ("Exists", "Equal"), ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, kw_only=True, slots=True)
class Toleration:
    """A taint that a step's pod puts up with."""

    key: str
    operator: str = "Exists"
    value: str = ""
    effect: str = "NoSchedule"

    def __post_init__(self) -> None:
        if self.operator not in _OPERATORS or self.effect not in _EFFECTS:
            raise SettingsError(
                f"tolerations: operator must be one of {_OPERATORS} and effect one of {_EFFECTS}, "
                f"got {self.operator!r} and {self.effect!r}"
            )
        if (self.operator == "Equal") != bool(self.value):
            raise SettingsError("tolerations: a value goes with operator Equal, and only with it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What one kind of step gets."""

    cpu: str
    memory: str
    retries: int = 0
    timeout_s: int = 0
    """Of one try; 0 for none."""
    gpus: int = 0
    gpu_type: str = "nvidia.com/gpu"
    shared_memory: str = ""
    """Size of /dev/shm; "" leaves the container's own 64 MB. It counts as memory."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()

    def __post_init__(self) -> None:
        for name in ("cpu", "memory", "shared_memory"):
            value = getattr(self, name)
            if not (isinstance(value, str) and _QUANTITY.fullmatch(value)) and (value or name != "shared_memory"):
                raise SettingsError(
                    f"{name}: expected a quantity of Kubernetes in quotes, such as 8Gi, got {value!r}"
                )
        for name in ("retries", "timeout_s", "gpus"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
                raise SettingsError(f"{name}: expected a whole number, 0 or more, got {value!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One cluster, as the pipelines see it."""

    KINDS: ClassVar[tuple[str, ...]] = ("light", "data", "train")

    host: str = ""
    """Address of the KFP API; "" takes KF_PIPELINES_ENDPOINT from the environment."""
    namespace: str = ""
    """Profile, where KFP serves several users."""
    tenant: str = ""
    """Whose runs these are: in every step's environment, and before the experiment's name; "" for nobody."""
    experiment: str = "quillflow"
    service_account: str = ""
    """That steps run as; "" for KFP's own."""
    image: str = PIPELINE_IMAGE
    """Of every step; name one commit of the code, since KFP's cache looks at the name only."""
    pull_secrets: tuple[str, ...] = ()
    run_as: int = 10001
    """User and group that steps run as; 0 leaves it to the image, which a namespace under Pod Security's
    ``restricted`` does not let in."""
    deploy_token: str = ""
    """Secret with a token that may deploy, which the deploy step alone mounts; "" leaves it to the account."""
    trainjob_token: str = ""
    """Secret with a token that may begin TrainJobs, which the train step alone mounts; "" where none is wanted."""
    direct_artifacts: bool = False
    """Steps read and write MLflow's artifacts in the object store themselves, so that they get its keys, too."""
    run_timeout_s: int = 259_200
    """After which a run is ended whatever it does, or waits for; 0 for never."""
    governor: str = ""
    """Address that a run's end is reported to; "" for nobody."""
    trials_at_once: int = field(default_factory=trials_at_once)
    keep_finished_s: int = 0
    """How long a finished run's workflow is kept; 0 leaves it to KFP."""
    light: Place = field(default_factory=lambda: Place(cpu="1", memory="2Gi", retries=2))
    """Steps that ask or change the registry, decide, or report."""
    data: Place = field(default_factory=lambda: Place(cpu="2", memory="4Gi"))
    """Steps that read every line."""
    train: Place = field(default_factory=lambda: Place(cpu="8", memory="16Gi", retries=2, gpus=gpus()))
    checkpoints_claim: str = ""
    """Volume claim that training keeps its checkpoints on, so that a lost pod's successor goes on from them."""
    checkpoints_path: str = "/checkpoints"
    """Where the claim is mounted; the default of the parameter ``work``."""
    workspace: str = ""
    """Size of a volume that KFP makes for each run instead of a claim, such as 50Gi; gone with the run."""
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Kubernetes secrets by name: key in the secret -> environment variable of every step."""
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """ConfigMaps, likewise."""

    def __post_init__(self) -> None:
        Tenant(self.tenant or DEFAULT)
        if self.checkpoints_claim and self.workspace:
            raise SettingsError("checkpoints: give a claim or a workspace, not both")
        if self.workspace and not _QUANTITY.fullmatch(self.workspace):
            raise SettingsError(f"checkpoints: workspace must be a size such as 50Gi, got {self.workspace!r}")
        if not self.checkpoints_path.startswith("/"):
            raise SettingsError(f"checkpoints: path must begin with a slash, got {self.checkpoints_path!r}")
        named = (
            *self.pull_secrets,
            *filter(None, (self.checkpoints_claim, self.deploy_token, self.trainjob_token)),
        )
        for name in (*self.secrets, *self.settings, *named):
            if not _NAME.fullmatch(name):
                raise SettingsError(f"{name!r} cannot be the name of a secret, ConfigMap or claim")
        for name in ("run_as", "keep_finished_s", "trials_at_once", "run_timeout_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
                raise SettingsError(f"{name}: expected a whole number, 0 or more, got {value!r}")
        if not isinstance(self.direct_artifacts, bool):
            raise SettingsError(f"direct_artifacts: expected true or false, got {self.direct_artifacts!r}")
        longest = max(self.KINDS, key=lambda kind: getattr(self, kind).timeout_s)
        if 0 < self.run_timeout_s < (timeout_s := getattr(self, longest).timeout_s):
            raise SettingsError(
                f"run_timeout_s: {self.run_timeout_s} ends a run before one try of {longest} may end "
                f"({longest}.timeout_s is {timeout_s}); give it more"
            )

    @property
    def work(self) -> str:
        """Return the default of the parameter ``work``: "" keeps checkpoints with the step's outputs."""
        return self.checkpoints_path if self.checkpoints_claim else ""


LOCAL = Site(run_as=0)
"""This machine: nothing is asked of Kubernetes, so that kfp-kubernetes need not be there."""


def read_site(path: Path | None) -> Site:
    """Read a site's file; None gives the defaults.

    Raises:
        SettingsError: it cannot be read, or a field is unknown or impossible; the text names it.
    """
    if path is None:
        return Site()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}); give the site's file with --site"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML ({error})") from error
    if (version := found.pop("format_version", None)) != FORMAT_VERSION:
        raise SettingsError(f"{path}: expected format_version = {FORMAT_VERSION}, found {version!r}")
    try:
        return _site(found)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _site(found: dict[str, Any]) -> Site:
    defaults = Site()
    given: dict[str, Any] = {}
    for kind in Site.KINDS:
        given[kind] = _place(kind, getattr(defaults, kind), _table(found, kind))
    checkpoints = _table(found, "checkpoints")
    for name, target in (
        ("claim", "checkpoints_claim"), ("path", "checkpoints_path"), ("workspace", "workspace"),
    ):  # fmt: skip
        if name in checkpoints:
            given[target] = _text(f"checkpoints.{name}", checkpoints.pop(name))
    _nothing_left("checkpoints", checkpoints)
    for name in ("secrets", "settings"):
        given[name] = {key: _texts(f"{name}.{key}", value) for key, value in _table(found, name).items()}
    if "pull_secrets" in found:
        names = found.pop("pull_secrets")
        if not isinstance(names, list):
            raise SettingsError(f"pull_secrets: expected a list of names, got {names!r}")
        given["pull_secrets"] = tuple(_text("pull_secrets", name) for name in names)
    for name in (
        "host", "namespace", "tenant", "experiment", "service_account", "image", "governor", "deploy_token",
        "trainjob_token",
    ):  # fmt: skip
        if name in found:
            given[name] = _text(name, found.pop(name))
    for name in ("run_as", "keep_finished_s", "trials_at_once", "run_timeout_s", "direct_artifacts"):
        if name in found:
            given[name] = found.pop(name)
    _nothing_left("", found)
    return Site(**given)


def _place(kind: str, default: Place, found: dict[str, Any]) -> Place:
    known = [spec.name for spec in fields(Place)]
    given = {name: found.pop(name, getattr(default, name)) for name in known}
    _nothing_left(kind, found)
    given["node_selector"] = _texts(f"{kind}.node_selector", given["node_selector"])
    try:
        given["tolerations"] = tuple(
            one if isinstance(one, Toleration) else Toleration(**one) for one in given["tolerations"]
        )
        return Place(**given)
    except TypeError as error:
        raise SettingsError(f"{kind}.tolerations: expected key, operator, value, effect ({error})") from error
    except SettingsError as error:
        raise SettingsError(f"{kind}.{error}") from error


def _table(found: dict[str, Any], name: str) -> dict[str, Any]:
    table = found.pop(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{name}: expected a table [{name}], got {table!r}")
    return dict(table)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{name}: expected text in quotes, got {value!r}")
    return value


def _texts(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
        raise SettingsError(f'{name}: expected texts, key = "value", got {value!r}')
    return dict(value)


def _nothing_left(where: str, found: Mapping[str, Any]) -> None:
    if found:
        names = ", ".join(f"{where}.{name}" if where else name for name in sorted(found))
        raise SettingsError(f"unknown: {names}; docs/kubeflow.md lists the fields")
