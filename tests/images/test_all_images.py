"""Every image, built on a Debian base; the whole DAG in the image of the steps. Behind ``make test-images``."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from htr.bundle import Bundle
from htr.pretrained import PRETRAINED, resolve
from k8s.images.build import sizes_mb
from k8s.images.catalogue import catalogue
from tests.ceph import MISSING
from tests.datasets import sound_lines, write_lines
from tests.docker import ALONE, USER, Docker, build
from tests.images.checks import check_bill, check_modules, check_settings
from tests.images.conftest import EVERYTHING, all_images_wanted
from tests.images.network import pod_network
from tests.images.platform import MLFLOW, Platform, platform
from tests.servers import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all_images_wanted(), reason=f"minutes to build: make test-images, which sets {EVERYTHING}"
    ),
]

FOREIGN = {
    "components": ["kserve", "evidently", "gradio", "serving", "monitoring"],
    "serving": ["torch", "kfp", "components", "pipelines", "monitoring"],
    "monitoring": ["torch", "kserve", "gradio", "great_expectations", "components", "pipelines", "serving"],
    "web": ["torch", "kfp", "kserve", "mlflow", "monitoring", "components", "pipelines"],
}
OWN = {
    "components": ["torch", "kfp", "mlflow", "great_expectations", "htr", "components", "pipelines"],
    "serving": ["kserve", "htr", "serving"],
    "monitoring": ["kfp", "evidently", "htr", "monitoring"],
    "web": ["gradio", "htr", "serving"],
}


@pytest.fixture(scope="module")
def built(docker: Docker) -> dict[str, str]:
    """Build every image; all later ones find what the earlier ones fetched."""
    return {name: build(docker, name) for name in catalogue()}


@pytest.mark.parametrize("name", OWN)
def test_every_image_holds_what_its_part_needs_and_nothing_of_the_others(
    docker: Docker, built: Mapping[str, str], name: str
) -> None:
    image = catalogue()[name]
    added, whole = sizes_mb(built[name], docker.engine)
    sys.stderr.write(f"\n{name}: {added} MB beyond the base, {whole} MB in all\n")
    assert added <= image.most_mb
    check_settings(docker, built[name])
    check_modules(docker, built[name], present=OWN[name], absent=FOREIGN[name])
    check_bill(docker, image)


@pytest.fixture(scope="module")
def servers(docker: Docker) -> Iterator[Platform]:
    if MISSING:
        pytest.skip(f"no S3 server: {', '.join(MISSING)} not installed (sh tests/debian-packages.sh)")
    with platform(docker.folder / "platform") as running:
        yield running


def test_the_whole_dag_in_containers_comes_to_the_same_as_in_processes(
    docker: Docker, built: Mapping[str, str], servers: Platform, tmp_path: Path
) -> None:
    lines = write_lines(tmp_path / "lines", sound_lines(num_train=48, num_held_out=24))
    # From the shipped weights and for few lines: its reading is neither perfect nor nonsense.
    arguments = {"cer_ceiling": 0.95, "settings": {"max_lines": 16}, "tune_lines": 8, "git_commit": "abc"}
    roots = {name: docker.shared_folder(name, writable=True) for name in ("containers", "processes")}
    _run([sys.executable, "-m", "htr", "publish", lines.path, "--name", "training"], **servers.here)
    with pod_network(
        docker, built["components"], source="quillflow/pipeline", services=servers.services
    ) as network:
        given = {
            "arguments": {**arguments, "lines": "store:training"},
            "network": network.mode,
            "environment": dict(servers.pods),
        }
        ours = _in_containers(docker, built["components"], roots["containers"], given, tmp_path)
    uri = f"sqlite:///{roots['processes']}/mlflow.db"
    theirs = _in_processes(roots["processes"], {**arguments, "lines": lines.path, "tracking_uri": uri}, tmp_path)
    assert 0 < ours["cer"] < 0.95
    sys.stderr.write(f"\nCER {ours['cer']} in containers, {theirs['cer']} in processes\n")
    assert (ours["cer"], ours["promoted"], ours["version"]) == (
        theirs["cer"],
        theirs["promoted"],
        theirs["version"],
    )
    assert ours["promoted"] is True
    weights = [Bundle.open(Path(one["evaluated"])).path / "weights.safetensors" for one in (ours, theirs)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert weights[0].stat().st_uid == int(USER.partition(":")[0])
    names = [sys.executable, "-m", "htr", "versions", "lines", "--json"]
    assert "merged" in _run(names, **servers.here), (
        "what it learnt from is published, with the keys that it was given"
    )


def test_a_step_reaches_what_the_table_allows_and_nothing_else(
    docker: Docker, built: Mapping[str, str], servers: Platform
) -> None:
    (mlflow,) = (address for address, (what, _) in servers.services.items() if what == MLFLOW)
    _, port = servers.services[mlflow]
    # The database is up and would answer, but no row of the table leads a step to it.
    services = {**servers.services, "postgres.quillflow-platform:5432": ("quillflow-platform/postgres", port)}
    addresses = [*services, f"127.0.0.1:{port}", "192.0.2.1:443", "192.0.2.33:443"]
    with pod_network(docker, built["components"], source="quillflow/pipeline", services=services) as network:
        code = REACH.format(addresses=addresses)
        alone = [word for word in ALONE if word not in ("--network", "none")]
        words = ["run", "--rm", *alone, "--network", network.mode, "--entrypoint", "python", built["components"]]
        reached = json.loads(docker.engine.run(*words, "-c", code))
    assert set(reached) == set(servers.services)


REACH = """
import json, socket
def reaches(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return False
    return True
print(json.dumps([one for one in {addresses!r} if reaches(one)]))
"""


def _in_containers(
    docker: Docker, image: str, root: Path, given: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    (root / "kfp").mkdir()
    os.chown(root / "kfp", *map(int, USER.split(":")))
    asked, result = folder / "given.json", folder / "result.json"
    asked.write_text(json.dumps(given))
    command = [sys.executable, "-m", "tests.images.run_dag", image, root, asked, result]
    _run(command, DOCKER_HOST=docker.host)
    return dict(json.loads(result.read_text()))


def _in_processes(root: Path, arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    result = folder / "result-here.json"
    command = [sys.executable, "-m", "pipelines", "run", "--in-process", "--root", root, "--result", result]
    for key, value in arguments.items():
        command += ["-p", f"{key}={json.dumps(value) if isinstance(value, dict) else value}"]
    _run(command)
    return dict(json.loads(result.read_text()))


def _run(command: list[str | Path], **environ: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def test_drift_is_checked_in_the_image_on_a_log_that_the_serving_image_wrote(
    docker: Docker, built: Mapping[str, str], tmp_path: Path
) -> None:
    images = [line.image for line in sound_lines(num_train=10, num_held_out=5)]
    files = []
    for number, image in enumerate(images):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(image)
    log = docker.shared_folder("drift-log", writable=True)
    out = docker.shared_folder("drift-out", writable=True)
    shipped = "/app/htr/pretrained/bundle"
    words = ["--bundle", shipped, "--log-dir", "/log"]
    options = ["--volume", f"{log}:/log", "--health-interval", "1s"]
    with docker.started(built["serving"], *words, options=options) as container:
        docker.healthy(container)
        network = f"--net=/proc/{docker.pid(container)}/ns/net"
        _run(["nsenter", network, sys.executable, "-m", "tests.images.ask_server", *files])
        docker.engine.run("stop", "--time", "30", container)
    options = ["--volume", f"{log}:/log:ro", "--volume", f"{out}:/out"]
    words = ["check", "--bundle", shipped, "--log", "/log", "--out", "/out", "--min-rows", "20"]
    words += ["--independent-lines"]  # three requests would be too few to tell anything by
    said = docker.run(built["monitoring"], *words, options=options)
    verdict = json.loads((out / "drift.json").read_text())
    assert (verdict["state"], verdict["rows"]) == ("drift", 3 * len(images))  # drawn letters: no handwriting
    assert verdict["bundle_digest"] == Bundle.open(resolve(PRETRAINED)).digest
    assert (out / "drift.html").stat().st_size > 100_000
    assert said.startswith("drift: ")


def test_the_governor_is_healthy_in_the_image_while_nobody_it_asks_can_be_reached(
    docker: Docker, built: Mapping[str, str], tmp_path: Path
) -> None:
    state = docker.shared_folder("state", writable=True)
    given = docker.shared_folder("given")
    _run([sys.executable, "-m", "pipelines", "compile", "--out", given / "pipeline.yaml"])
    (given / "pipeline.yaml").chmod(0o644)
    options = ["--volume", f"{state}:/state", "--volume", f"{given}:/given:ro", "--health-interval", "1s"]
    words = ["serve-governor", "--state", "/state", "--kfp-host", "http://127.0.0.1:8888", "-p", "lines=/lines"]
    words += ["--package", "/given/pipeline.yaml", "--tracking-uri", "http://127.0.0.1:5000"]
    with docker.started(built["monitoring"], *words, options=options) as container:
        docker.healthy(container)
        log = docker.engine.run("logs", container)
    assert "governor at http://127.0.0.1:8090" in log
    assert any(state.iterdir())


def test_the_page_answers_in_the_image(docker: Docker, built: Mapping[str, str]) -> None:
    check_page(docker, built["web"])


def check_page(docker: Docker, name: str) -> None:
    """The page opens while the server that it asks cannot be reached."""
    words = ["--server", "http://127.0.0.1:8080"]
    with docker.started(name, *words, options=["--health-interval", "1s"]) as container:
        docker.healthy(container)
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:7860/', timeout=20).read().decode())"
        page = docker.engine.run("exec", container, "python", "-c", ask)
    assert "<title>Quillflow" in page or "gradio" in page
