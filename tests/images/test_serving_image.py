"""The serving image, really built on a Debian base, and served from under what a cluster's policy asks."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from htr.recogniser import Recogniser
from k8s.images.build import sizes_mb
from k8s.images.catalogue import catalogue
from k8s.images.engine import Engine
from tests.conftest import line_png
from tests.docker import Docker, build
from tests.images.checks import check_bill, check_modules, check_nothing_told, check_settings
from tests.images.network import allowed
from tests.servers import ROOT

pytestmark = pytest.mark.slow

SECRET = "token-that-no-layer-may-hold-7f3a91"  # noqa: S105 - looked for in every layer


@pytest.fixture(scope="module")
def serving(docker: Docker) -> str:
    """Build the image; a password of a package index that no package comes from."""
    return build(docker, "serving", environ={"UV_INDEX_NOBODYS_PASSWORD": SECRET})


def test_it_is_small_and_says_what_it_is(docker: Docker, serving: str) -> None:
    added, whole = sizes_mb(serving, docker.engine)
    assert 300 < added <= catalogue()["serving"].most_mb
    assert added < whole
    check_settings(docker, serving)
    check_nothing_told(docker, serving, SECRET)


def test_it_holds_what_it_serves_with_and_no_more(docker: Docker, serving: str) -> None:
    absent = ["torch", "kfp", "lightning", "components", "pipelines", "monitoring", "evidently", "gradio"]
    check_modules(docker, serving, present=["kserve", "htr", "serving", "cv2"], absent=absent)
    check_bill(docker, catalogue()["serving"])


def test_it_answers_three_protocols_without_network_rights_or_a_root_to_write_to(
    docker: Docker, serving: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    gateway = "namespaces with quillflow/gateway=true"
    assert {(gateway, 8080), (gateway, 8081)} <= allowed(target="quillflow/serving"), "where it is asked below"
    images = [line_png("first line"), line_png("the second one", seed=2)]
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    for file, image in zip(files, images, strict=True):
        file.write_bytes(image)
    bundle = docker.shared_folder("bundle", source=tiny_bundle)
    log = docker.shared_folder("log", writable=True)
    options = ["--volume", f"{bundle}:/mnt/models:ro", "--volume", f"{log}:/log", "--health-interval", "1s"]
    words = ["--bundle", "/mnt/models", "--log-dir", "/log", "--threads", "2"]
    with docker.started(serving, *words, options=options) as container:
        docker.healthy(container)
        network = f"--net=/proc/{docker.pid(container)}/ns/net"
        command = ["nsenter", network, sys.executable, "-m", "tests.images.ask_server", *map(str, files)]
        answers = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
        networks = docker.engine.run("exec", container, "ls", "/sys/class/net").split()
        written = docker.engine.run("diff", container).split()
        began = time.monotonic()
        docker.engine.run("stop", "--time", "30", container)
        stopped_in = time.monotonic() - began
        code = docker.engine.run("inspect", "--format", "{{.State.ExitCode}}", container).strip()
    read = [reading.text for reading in Recogniser.load(tiny_bundle).read(images)]
    assert answers == {"v1": read, "v2": read, "grpc": read}
    assert networks == ["lo"]
    assert not written or set(written[1::2]) <= {"/log", "/mnt", "/mnt/models", "/tmp"}  # noqa: S108 - mounts
    assert list(log.rglob("*.parquet")) or list(log.rglob("*"))
    assert (code, stopped_in < 25) == ("0", True)


def test_a_folder_that_is_no_bundle_is_told_in_one_line(docker: Docker, serving: str) -> None:
    empty = docker.shared_folder("empty")
    command = ["--volume", f"{empty}:/mnt/models:ro", serving, "--bundle", "/mnt/models"]
    told = _refusal(docker.engine, [*command])
    assert told.startswith("error: /mnt/models")
    assert len(told.strip().splitlines()) == 1


def _refusal(engine: Engine, words: list[str]) -> str:
    command = [engine.program, "--host", engine.environ["DOCKER_HOST"], "run", "--rm", "--network", "none", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    return done.stderr
