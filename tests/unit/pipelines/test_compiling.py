"""The compiled pipelines: reviewed as golden files, alike on a laptop and a cluster, fitted to a site."""

import copy
import difflib
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format

from components.image import PIPELINE_IMAGE
from htr.errors import SettingsError, TenantError
from k8s.cluster.api import LENT_ACCOUNT
from pipelines.__main__ import main
from pipelines.commands_cluster import site_of
from pipelines.compiling import compiled, contents_of
from pipelines.local import pipeline_named
from pipelines.site import read_site
from tests.golden_pipelines import FOLDER, SITE, normal, package, texts
from tests.kfp_models import check_package

pytestmark = pytest.mark.untraced

LINES = "quillflow+s3://bucket/prefix/lines/" + "ab" * 32


@pytest.mark.parametrize(
    "name", ["training.yaml", "search.yaml", "training-on-site.yaml", "search-manifests.yaml"]
)
def test_the_compiled_pipelines_are_the_reviewed_ones(name: str) -> None:
    if PIPELINE_IMAGE != "quillflow/components:dev":
        pytest.skip("QUILLFLOW_IMAGE is set")
    reviewed = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    now = texts()[name].splitlines()
    diff = "\n".join(difflib.unified_diff(reviewed, now, "reviewed", "now", lineterm="", n=2))
    assert not diff, f"the pipeline changed; if that is meant: python -m tests.golden_pipelines\n{diff}"


def test_a_golden_file_knows_no_versions() -> None:
    assert "sdkVersion: kfp\n" in normal(package("search").text)


def shape(spec: dict[str, Any], dag: dict[str, Any]) -> dict[str, Any]:
    """Return a DAG's tasks by the names that people gave: inputs, edges, condition, loop, retries, caching."""
    names = {key: task["taskInfo"]["name"] for key, task in dag["tasks"].items()}
    found = {}
    for key, task in dag["tasks"].items():
        text = json.dumps({k: v for k, v in task.items() if k not in ("componentRef", "taskInfo")}, sort_keys=True)
        text = text.replace("pipelinechannel--", "")
        for old, new in names.items():
            text = text.replace(f'"{old}"', f'"{new}"')
        component = spec["components"][task["componentRef"]["name"]]
        inner = shape(spec, component["dag"]) if "dag" in component else component["executorLabel"]
        found[names[key]] = (json.loads(text), inner)
    return found


def whole(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the shape of a compiled pipeline's part within its exit handler."""
    return shape(spec, spec["components"]["comp-exit-handler-1"]["dag"])


def spec_of(text: str) -> dict[str, Any]:
    found = check_package(text)
    spec: dict[str, Any] = found.get("pipeline_spec", found)
    return spec


@pytest.mark.parametrize("pipeline", ["training", "search"])
@pytest.mark.parametrize("site", [None, SITE], ids=["default", "all"])
def test_a_laptop_runs_what_a_cluster_runs(pipeline: str, site: Path | None) -> None:
    local = json_format.MessageToDict(pipeline_named(pipeline).pipeline_spec)
    cluster = spec_of(package(pipeline, site).text)
    left, right = shape(local, local["root"]["dag"]), whole(cluster)
    if site is not None:  # a site sets retries; it changes no step, edge, argument or condition
        left, right = without_retries(left), without_retries(right)
    assert left == right
    declared = set(cluster["root"]["inputDefinitions"]["parameters"])
    assert declared == {*local["root"]["inputDefinitions"]["parameters"], "governor"}
    assert set(cluster["root"]["dag"]["tasks"]) == {"exit-handler-1", "report"}
    for name, executor in local["deploymentSpec"]["executors"].items():
        there = cluster["deploymentSpec"]["executors"][name]["container"]
        assert there["args"] == executor["container"]["args"]
        assert there["command"] == executor["container"]["command"]


def without_retries(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: without_retries(value) for key, value in found.items() if key != "retryPolicy"}
    return [without_retries(one) for one in found] if isinstance(found, list | tuple) else found


def test_the_comparison_sees_a_lost_edge_condition_and_argument() -> None:
    spec = spec_of(package("training").text)
    before = whole(spec)
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    for change in (
        lambda t: t["champion"].pop("dependentTasks"),
        lambda t: t["condition-2"]["triggerPolicy"].update(condition="true"),
        lambda t: t["train"]["inputs"]["parameters"].pop("work"),
        lambda t: t.pop("register"),
        lambda t: t["evaluate"]["inputs"]["artifacts"]["challenger"]["taskOutputArtifact"].update(
            producerTask="champion"
        ),
    ):
        kept = copy.deepcopy(tasks)
        change(tasks)
        assert whole(spec) != before
        tasks.clear()
        tasks.update(kept)
    assert whole(spec) == before


def test_only_what_is_named_by_its_digest_may_come_from_the_cache() -> None:
    assert contents_of(LINES, "", 0.3, "image:1") != contents_of(LINES, "", 0.3, "image:2") != ""
    assert contents_of(LINES, LINES, 0.3, "i") != contents_of(LINES, "", 0.3, "i")
    assert contents_of(LINES, "", 0.2, "i") != contents_of(LINES, "", 0.3, "i")
    for lines, corrections in (
        ("/data/lines", ""),
        ("", ""),
        (LINES, "/data/c"),
        (LINES[:-1], ""),
        ("s3://b/l", ""),
    ):
        assert contents_of(lines, corrections, 0.3, "i") == ""
    cached = spec_of(package("training", SITE, "c0ffee").text)
    options = {
        name: task.get("cachingOptions")
        for name, task in cached["components"]["comp-exit-handler-1"]["dag"]["tasks"].items()
    }
    assert options["ingest"] == {"enableCache": True, "cacheKey": "c0ffee"}
    assert options["evaluate"] == {"enableCache": True}
    assert all(options[name] == {} for name in ("validate", "champion", "train", "gate", "register"))


def executors(text: str) -> dict[str, Any]:
    found = check_package(text)["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): asked for name, asked in found.items()}


@pytest.mark.parametrize("pipeline", ["training", "search"])
@pytest.mark.parametrize("site", [None, SITE], ids=["default", "all"])
def test_every_step_says_as_whom_it_runs_which_is_what_kfp_leaves_to_us_of_pod_security(
    pipeline: str, site: Path | None
) -> None:
    text = package(pipeline, site).text
    nobody = {"runAsUser": "10001", "runAsGroup": "10001", "runAsNonRoot": True}
    asked = executors(text)
    assert {name: one["securityContext"] for name, one in asked.items()} == dict.fromkeys(asked, nobody)
    named = {name.removeprefix("exec-") for name in spec_of(text)["deploymentSpec"]["executors"]}
    assert set(asked) == named, "a step that is not there would run as root"


def test_a_step_gets_the_secrets_of_the_services_that_it_asks_and_no_others() -> None:
    asked = executors(package("training", SITE).text)
    keys = {
        name: {one["secretName"].removeprefix("quillflow-") for one in spec.get("secretAsEnv", [])}
        for name, spec in asked.items()
    }
    assert keys == {
        "ingest": {"s3"},
        "validate": set(),
        "champion": {"mlflow"},
        "train": {"s3", "mlflow"},  # the site has TrainJobs, which get lines and give bundles by the store
        "evaluate": set(),
        "gate": set(),
        "register": {"s3", "mlflow"},
        "promote": {"mlflow"},
        "deploy": {"s3", "mlflow"},
        "report": {"tokens"},
    }
    lent = {name: [one["secretName"] for one in spec.get("secretAsVolume", [])] for name, spec in asked.items()}
    tokens = {"deploy": ["quillflow-deploy-token"], "train": ["quillflow-trainjobs-token"]}
    assert {name: names for name, names in lent.items() if names} == tokens
    for name in tokens:
        (volume,) = asked[name]["secretAsVolume"]
        assert volume["mountPath"] == str(LENT_ACCOUNT)


def test_a_site_without_a_proxy_for_artifacts_and_a_secret_of_its_own_are_seen(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        "format_version = 1\ndirect_artifacts = true\n[secrets.s3]\nkey = 'AWS_ACCESS_KEY_ID'\n"
        "[secrets.own]\nword = 'OWN_WORD'\n"
    )
    asked = executors(compiled("search", read_site(tmp_path / "s.toml")).text)
    keys = {name: {one["secretName"] for one in spec["secretAsEnv"]} for name, spec in asked.items()}
    assert keys["try-settings"] == keys["plan"] == {"s3", "own"}
    assert keys["validate"] == keys["report"] == {"own"}


@pytest.mark.parametrize(("seconds", "told"), [(3600, 3600), (0, None)])
def test_a_run_ends_at_last_unless_a_site_wants_it_otherwise(
    tmp_path: Path, seconds: int, told: int | None
) -> None:
    (tmp_path / "s.toml").write_text(f"format_version = 1\nrun_timeout_s = {seconds}\n")
    found = check_package(compiled("training", read_site(tmp_path / "s.toml")).text)
    config = found["platform_spec"]["platforms"]["kubernetes"].get("pipelineConfig", {})
    assert config.get("activeDeadlineSeconds") == told


def test_a_run_of_its_own_volume_keeps_the_checkpoints_there(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('format_version = 1\n[checkpoints]\nworkspace = "50Gi"\n')
    found = check_package(compiled("training", read_site(tmp_path / "s.toml")).text)
    assert found["platform_spec"]["platforms"]["kubernetes"]["pipelineConfig"]["workspace"]["size"] == "50Gi"
    tasks = found["pipeline_spec"]["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert tasks["train"]["inputs"]["parameters"]["work"] == {
        "runtimeValue": {"constant": "{{$.workspace_path}}/checkpoints"}
    }


def test_the_manifests_hold_the_same_pipeline(tmp_path: Path) -> None:
    out = tmp_path / "m.yaml"
    assert main(["compile", "--kubernetes-manifest-format", "--site", str(SITE), "--out", str(out)]) == 0
    pipeline, version = yaml.safe_load_all(out.read_text())
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
    assert pipeline["metadata"] == {"name": "quillflow-training", "namespace": "quillflow"}
    assert version["spec"]["pipelineName"] == "quillflow-training"
    plain = check_package(package("training", SITE).text)
    assert version["spec"]["pipelineSpec"] == plain["pipeline_spec"]
    assert version["spec"]["platformSpec"] == plain["platform_spec"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "format_version"),
        ("format_version = 2", "format_version"),
        ("format_version = 1\nimgae = 'x'", "imgae"),
        ("format_version = 1\n[train]\ngpu = 1", "train.gpu"),
        ("format_version = 1\n[train]\nmemory = 8", "train.memory"),
        ("format_version = 1\n[train]\nmemory = '8 GB'", "train.memory"),
        ("format_version = 1\n[train]\nretries = true", "train.retries"),
        ("format_version = 1\n[[train.tolerations]]\nkey = 'a'\neffect = 'Never'", "train.tolerations"),
        ("format_version = 1\n[[train.tolerations]]\nname = 'a'", "train.tolerations"),
        ("format_version = 1\n[checkpoints]\nclaim = 'a'\nworkspace = '5Gi'", "not both"),
        ("format_version = 1\n[checkpoints]\nvolume = 'a'", "checkpoints.volume"),
        ("format_version = 1\n[secrets]\n\"Not A Name\" = { a = 'A' }", "Not A Name"),
        ("format_version = 1\nsecrets = 3", "secrets"),
        ("format_version = 1\nrun_as = '1'", "run_as"),
        ("format_version = 1\ndeploy_token = 'A b'", "A b"),
        ("format_version = 1\ndirect_artifacts = 1", "direct_artifacts"),
        ("format_version = 1\nrun_timeout_s = 60\n[train]\ntimeout_s = 61", "before one try of train"),
        ("format_version = ", "not TOML"),
    ],
)
def test_a_mistake_in_a_sites_file_is_named_with_the_file(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(SettingsError, match=told) as caught:
        read_site(tmp_path / "site.toml")
    assert "site.toml" in str(caught.value)
    with pytest.raises(SettingsError, match="nowhere"):
        read_site(tmp_path / "nowhere.toml")


def test_a_tenants_steps_know_whose_they_are_and_share_no_result_with_anothers(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('format_version = 1\ntenant = "claims"\n')
    steps = yaml.safe_load(compiled("training", read_site(tmp_path / "site.toml")).text.split("\n---\n")[0])
    executors = steps["deploymentSpec"]["executors"].values()
    for one in executors:
        assert {"name": "QUILLFLOW_TENANT", "value": "claims"} in one["container"]["env"]
    keys = {contents_of(LINES, "", 0.3, "i", tenant) for tenant in ("", "claims", "ward-7")}
    assert len(keys) == 3
    (tmp_path / "site.toml").write_text('format_version = 1\ntenant = "../claims"\n')
    with pytest.raises(SettingsError, match="a tenant's name"):
        read_site(tmp_path / "site.toml")


def test_a_site_of_another_tenant_is_refused_and_ones_own_stamps_the_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site.toml"
    site.write_text('format_version = 1\ntenant = "claims"\n')
    named = Namespace(site=site, host=None, namespace=None, experiment=None)
    monkeypatch.delenv("QUILLFLOW_TENANT", raising=False)
    assert (site_of(named).tenant, site_of(named).experiment) == ("claims", "claims.quillflow")
    monkeypatch.setenv("QUILLFLOW_TENANT", "ward-7")
    with pytest.raises(TenantError, match="another tenant's"):
        site_of(named)
    site.write_text("format_version = 1\n")
    assert (site_of(named).tenant, site_of(named).experiment) == ("ward-7", "ward-7.quillflow")
