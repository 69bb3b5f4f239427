"""Who reads a variable of the environment: our code, a library that is installed, or an argument of a manifest."""

import importlib.util
import re
from functools import cache
from pathlib import Path

from tests.servers import ROOT

CODE = ("htr", "components", "pipelines", "serving", "monitoring", "k8s/cluster")
LIBRARIES = {"AWS_": "minio/credentials", "MLFLOW_": "mlflow", "KF_": "kfp/client", "PET_": "torch/distributed"}
"""Whose variables begin how, and where that library reads them."""


@cache
def is_read(name: str) -> bool:
    """Return whether the code that reads a variable names it, or a manifest's arguments do, as $(NAME)."""
    if name in _words():
        return True
    return any(name.startswith(lead) and name in _library(place) for lead, place in LIBRARIES.items())


@cache
def _words() -> frozenset[str]:
    """Return every name in quotes in our code, and those that a manifest's argument is made of."""
    found: set[str] = set()
    for folder in CODE:
        for file in (ROOT / folder).rglob("*.py"):
            found.update(re.findall(r"[\"']([A-Z][A-Z0-9_]{3,})[\"']", file.read_text(encoding="utf-8")))
    for file in (ROOT / "k8s").rglob("*.yaml"):
        found.update(re.findall(r"=\S*\$\(([A-Z][A-Z0-9_]+)\)", file.read_text(encoding="utf-8")))
    return frozenset(found)


@cache
def _library(place: str) -> str:
    package, _, rest = place.partition("/")
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed"
    folder = Path(str(spec.origin)).parent / rest
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.rglob("*.py")))
