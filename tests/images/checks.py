"""What is asked of every image, whatever it holds."""

import json
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path

import cyclonedx.schema
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from k8s.images.catalogue import LOCKS, Image
from k8s.images.locks import read_lock
from tests.docker import ALONE, TAG, USER, Docker

PACKAGES = ("/opt/venv/lib/python3.11/site-packages", "/app")
FIND = "import importlib.util, json; print(json.dumps([n for n in {names!r} if importlib.util.find_spec(n)]))"


def check_settings(docker: Docker, name: str) -> None:
    """Nobody's user, the commit in a label, and nothing of the building machine."""
    config = docker.inspect(name)["Config"]
    assert config["User"] == USER
    assert config["Labels"]["org.opencontainers.image.revision"] == docker.commits[name]
    assert not [one for one in config["Env"] if one.startswith(("PIP_", "UV_", "SSL_"))]


def check_modules(docker: Docker, name: str, *, present: list[str], absent: list[str]) -> None:
    """Some modules can be found and others cannot: none that would install something later, among them."""
    absent = [*absent, "pip", "uv", "pytest"]
    assert docker.python(name, FIND.format(names=[*present, *absent])) == present


def check_nothing_told(docker: Docker, name: str, secret: str) -> None:
    """Neither the image nor its history holds a secret of the build, in no layer and under no name."""
    assert secret not in json.dumps(docker.inspect(name))
    assert secret not in docker.engine.run("history", "--no-trunc", name)
    command = [docker.engine.program, "--host", docker.host, "save", name]
    tail = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as saved:
        assert saved.stdout is not None
        while block := saved.stdout.read(1 << 22):
            assert secret.encode() not in tail + block
            tail = block[-len(secret) :]
    assert saved.returncode == 0


def check_bill(docker: Docker, image: Image) -> None:
    """The bill of materials fits its schema and names what is installed: as pip lists it, and as it was locked."""
    (file,) = (docker.folder / "bills").glob(f"{image.name}-{TAG}.cdx.json")
    bill = json.loads(file.read_text(encoding="utf-8"))
    assert [error.message for error in _validator().iter_errors(bill)] == []
    listed = {one["purl"].partition("?")[0] for one in bill["components"]}
    installed = _listed_by_pip(docker, image.tagged(TAG))
    assert installed
    assert {purl for purl in listed if purl.startswith("pkg:pypi/")} == installed
    locked = {f"pkg:pypi/{name}@{_quoted(version)}" for name, version in _locked(image).items()}
    assert locked == {purl for purl in installed if not purl.startswith("pkg:pypi/quillflow@")}
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in listed)


def _locked(image: Image) -> dict[str, str]:
    lists = [image.name, "torch-cpu"] if image.has_torch else [image.name]
    return {name: version for one in lists for name, version in read_lock(LOCKS / f"{one}.lock").items()}


def _listed_by_pip(docker: Docker, name: str) -> set[str]:
    """Copy what says which packages there are out of an image, and let this environment's pip read it."""
    folder = docker.shared_folder(f"site-{len(list(docker.folder.iterdir()))}")
    find = f"find {' '.join(PACKAGES)} -maxdepth 1 -name '*.dist-info' -exec tar -cf - {{}} +"
    command = [docker.engine.program, "--host", docker.host, "run", "--rm", *ALONE, "--entrypoint", "sh", name]
    with subprocess.Popen([*command, "-c", find], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as packed:
        _take_metadata(packed, folder)
    assert packed.returncode == 0
    command = [sys.executable, "-m", "pip", "list", "--path", str(folder), "--format", "json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # pip writes names as their authors do; the bill, as the index does.
    return {f"pkg:pypi/{_normal(one['name'])}@{_quoted(one['version'])}" for one in json.loads(told)}


def _take_metadata(packed: subprocess.Popen[bytes], folder: Path) -> None:
    assert packed.stdout is not None
    with tarfile.open(fileobj=packed.stdout, mode="r|") as tar:
        for member in tar:
            place = Path("/", member.name)
            (within,) = (place.relative_to(one) for one in PACKAGES if place.is_relative_to(one))
            if member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                (folder / within).parent.mkdir(parents=True, exist_ok=True)
                (folder / within).write_bytes(content.read())


def _normal(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()


def _quoted(version: str) -> str:
    return version.replace("+", "%2B")


@cache
def _validator() -> Draft7Validator:
    """Return CycloneDX's own schema, with the two that it refers to beside it."""
    folder = Path(cyclonedx.schema.__file__).parent / "_res"
    names = {"spdx.schema.json": "spdx", "jsf-0.82.schema.json": "jsf-0.82"}
    schemas = {
        name: json.loads((folder / f"{file}.SNAPSHOT.schema.json").read_text()) for name, file in names.items()
    }
    main = json.loads((folder / "bom-1.6.SNAPSHOT.schema.json").read_text())
    base = main["$id"].rpartition("/")[0]
    registry: Registry = Registry().with_resources(
        [(f"{base}/{name}", Resource.from_contents(schema)) for name, schema in schemas.items()]
    )
    return Draft7Validator(main, registry=registry)
