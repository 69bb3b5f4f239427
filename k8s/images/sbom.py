"""What is installed here, as a CycloneDX 1.6 bill of materials on stdout.

Runs inside an image, handed to its Python through stdin: it may import nothing but the standard library. It lists
every Python distribution that importlib.metadata finds and every Debian package that dpkg has a record of.

    python - NAME VERSION COMMIT TIME < k8s/images/sbom.py
"""

import hashlib
import json
import re
import sys
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

SPEC = "1.6"
_STATUS = Path("/var/lib/dpkg/status")
_MOST_LICENCE = 60
"""Characters; a longer field holds the text of a licence instead of its name."""


def bill(name: str, version: str, commit: str, time: str) -> dict[str, Any]:
    """Return the bill of materials of the image that this runs in.

    Args:
        name: of the image.
        version: its tag.
        commit: of the code in it.
        time: when the bill was made, ISO 8601 in UTC.
    """
    components = sorted([*_python(), *_debian()], key=lambda component: str(component["bom-ref"]))
    whole: dict[str, Any] = {"type": "container", "name": name, "version": version, "bom-ref": f"{name}@{version}"}
    if commit:
        whole["properties"] = [{"name": "quillflow:git-commit", "value": commit}]
    content = hashlib.sha256(json.dumps([whole, components], sort_keys=True).encode()).digest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=content[:16], version=5)}",
        "version": 1,
        "metadata": {"timestamp": time, "component": whole},
        "components": components,
        # Everything that is installed is listed; who needs whom is not told.
        "compositions": [{"aggregate": "complete", "assemblies": [whole["bom-ref"]]}],
    }


def _python() -> Iterator[dict[str, Any]]:
    seen = set()
    for found in metadata.distributions():
        name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
        if name in seen:  # the first on the path is the one that is imported
            continue
        seen.add(name)
        purl = f"pkg:pypi/{name}@{quote(found.version, safe='')}"
        component: dict[str, Any] = {"type": "library", "name": name, "version": found.version, "purl": purl}
        component["bom-ref"] = purl
        if licences := _licences(found.metadata):
            component["licenses"] = licences
        yield component


def _licences(told: metadata.PackageMetadata) -> list[dict[str, Any]]:
    """Return the licence as the distribution states it; nothing where it states none."""
    if expression := _field(told, "License-Expression"):
        return [{"expression": expression}]
    classifiers = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or [] if line.startswith("License ::")
    ]
    stated = _field(told, "License").strip()
    if stated and len(stated) <= _MOST_LICENCE and "\n" not in stated:
        classifiers = [stated]
    return [{"license": {"name": name}} for name in classifiers]


def _field(told: metadata.PackageMetadata, name: str) -> str:
    return told[name] if name in told else ""  # noqa: SIM401 - not every release has get()


def _debian() -> Iterator[dict[str, Any]]:
    if not _STATUS.is_file():
        return
    for paragraph in _STATUS.read_text(encoding="utf-8", errors="replace").split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, flags=re.MULTILINE))
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, version, machine = fields["Package"], fields["Version"], fields["Architecture"]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={machine}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    json.dump(bill(*sys.argv[1:]), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
