"""Every command line is one that its program takes, and every path, port and variable in it means something."""

import re
import shlex
from pathlib import PurePosixPath

import pytest

from k8s.cluster.release import RELEASE
from tests.manifests.commands import THIRD_PARTY, BadCommandError, check, expanded
from tests.manifests.pods import Pod, pods_of, variables
from tests.manifests.rendering import K8S, composed, rendered
from tests.manifests.sources import is_read
from tests.servers import ROOT

OF_OTHERS = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "PGDATA"}
"""Read by PostgreSQL's image."""
_OURS = re.compile(r"=?(/(?:var|etc|mnt|tmp)/[^\s=]+)$")


def test_every_program_takes_its_arguments() -> None:
    tried = set()
    for pod, container, manifests in _containers():
        command, args = container.get("command", []), container.get("args", [])
        program = (command or args or [""])[0]
        if program in THIRD_PARTY:
            continue
        args = expanded(args, variables(container, manifests))
        if pod.manifest["kind"] == "ClusterStorageContainer":  # which KServe adds
            args = [*args, f"quillflow+s3://quillflow/store/bundle/{'0' * 64}", "/mnt/models"]
        if (line := (*command, *args)) not in tried:
            check(command, args)
            tried.add(line)
    assert len(tried) >= 9


def test_every_program_that_the_scripts_for_kind_start_takes_its_arguments() -> None:
    tried = [
        shlex.split(line)
        for script in sorted((K8S / "kind").glob("*.sh"))
        for line in re.findall(r'"\$python" -m ([^|>)\n]+)', script.read_text().replace("\\\n", ""))
    ]
    for name, *args in tried:
        check(["python", "-m", name], args)
    assert len(tried) >= 3


def test_nothing_of_ours_sets_a_bundle_as_a_manager_that_a_release_refuses_to_overrule() -> None:
    files = [*(K8S / "kind").glob("*.sh"), *(ROOT / "docs").glob("*.md"), K8S / "README.md"]
    patches = [
        line
        for file in files
        for line in re.findall(r"kubectl [^|;\n]*\bpatch (?:isvc|inferenceservice)\b.*", file.read_text())
    ]
    assert len(patches) >= 3
    assert all(f"--field-manager={RELEASE} " in line for line in patches), patches


def test_a_renamed_flag_or_a_missing_variable_would_be_noticed() -> None:
    with pytest.raises(BadCommandError):
        check(["python", "-m", "serving"], ["--bundle=/mnt/models", "--treads=1"])
    with pytest.raises(BadCommandError):
        check(["python", "-m", "monitoring"], ["check", "--bundle=/b", "--log=/l", "--output=/o"])
    with pytest.raises(BadCommandError):
        check(["python", "-m", "nowhere"], [])
    with pytest.raises(BadCommandError):
        expanded(["--server=$(SERVER)"], {"SERVER_URL": "http://localhost"})


def test_every_path_in_a_command_line_lies_on_a_volume_that_is_mounted() -> None:
    num_paths = 0
    for pod, container, _ in _containers():
        mounts = [PurePosixPath(one["mountPath"]) for one in container["volumeMounts"]]
        if pod.manifest["kind"] == "ClusterServingRuntime":
            mounts.append(PurePosixPath("/mnt/models"))  # KServe's
        texts = [*container.get("args", []), *(one.get("value", "") for one in container.get("env", []))]
        for found in filter(None, (_OURS.search(text) for text in texts)):
            num_paths += 1
            path = PurePosixPath(found[1])
            assert any(path.is_relative_to(mount) for mount in mounts), f"{pod.name}: {path}"
    assert num_paths > 20


def test_what_is_written_lies_on_a_volume_that_may_be_written() -> None:
    for pod, container, _ in _containers():
        locked = [PurePosixPath(one["mountPath"]) for one in container["volumeMounts"] if one.get("readOnly")]
        for text in container.get("args", []):
            flag, _, path = text.partition("=")
            if flag in {"--out", "--work", "--state", "--log-dir", "--history", "--corrections-out"}:
                assert not any(PurePosixPath(path).is_relative_to(one) for one in locked), f"{pod.name}: {text}"


def test_every_port_in_a_command_line_is_one_that_the_container_opens() -> None:
    for pod, container, _ in _containers():
        ports = {str(one["containerPort"]) for one in container.get("ports", [])}
        for text in container.get("args", []):
            flag, _, value = text.partition("=")
            if flag in {"--http_port", "--port", "-s3.port"}:
                assert value in ports, f"{pod.name}: {text}"


def test_every_variable_is_read_by_somebody() -> None:
    for pod, container, manifests in _containers():
        for name in variables(container, manifests):
            assert name in OF_OTHERS or is_read(name), f"{pod.name}: nobody reads {name}"


def _containers() -> list[tuple[Pod, dict, tuple]]:  # type: ignore[type-arg]
    return [
        (pod, container, rendered(*parts))
        for parts in composed()
        for pod in pods_of(rendered(*parts))
        for container in pod.containers
    ]
