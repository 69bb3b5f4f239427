"""What is generated is what its sources say now, and says it rightly."""

import yaml

from tests.manifests.generate import generated, routing, rules
from tests.manifests.rendering import K8S, Loader, rendered
from tests.servers import ROOT


def test_every_generated_file_is_what_its_source_says() -> None:
    for path, text in generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run: python -m tests.manifests.generate"


def test_the_operator_gets_every_rule_and_no_other() -> None:
    expected = []
    for name in ("recording", "alerts"):
        found = yaml.load((ROOT / f"monitoring/rules/{name}.yaml").read_text(), Loader)  # noqa: S506 - a safe loader
        expected += [rule for group in found["groups"] for rule in group["rules"]]
    groups = rules()["spec"]["groups"]
    assert len({group["name"] for group in groups}) == len(groups)
    assert [rule for group in groups for rule in group["rules"]] == expected


def test_alerts_go_to_the_governor_by_its_service_and_with_its_token() -> None:
    (governor,) = [one for one in routing()["spec"]["receivers"] if one["name"] == "governor"]
    (hook,) = governor["webhookConfigs"]
    assert hook["url"] == "http://quillflow-governor.quillflow.svc.cluster.local:8090/v1/alerts"
    assert hook["httpConfig"]["authorization"]["credentials"] == {"name": "quillflow-tokens", "key": "governor"}
    assert routing()["spec"]["route"]["routes"][0]["continue"] is True


def test_dashboards_come_from_the_files_themselves() -> None:
    (dashboards,) = [one for one in rendered("staging") if one["metadata"]["name"] == "quillflow-dashboards"]
    files = sorted((ROOT / "monitoring" / "dashboards").glob("*.json"))
    assert dashboards["data"] == {one.name: one.read_text(encoding="utf-8") for one in files}
    assert dashboards["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_kubernetes_finds_no_copy_of_the_rules_elsewhere() -> None:
    assert [one.name for one in (K8S / "components" / "prometheus-operator").iterdir() if "rule" in one.name] == [
        "rules.yaml"
    ]
