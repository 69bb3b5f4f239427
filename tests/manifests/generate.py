"""python -m tests.manifests.generate: writes what follows from other files, for a test to compare.

k8s/components/prometheus-operator/rules.yaml      from monitoring/rules/
k8s/components/prometheus-operator/routing.yaml    from monitoring/alertmanager.yaml
docs/kubernetes.md                                 its tables: network paths from the rendered policies, and sizes
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.manifests import paths, sizing
from tests.manifests.rendering import K8S, Loader
from tests.servers import ROOT

OPERATOR = K8S / "components" / "prometheus-operator"
PAGE = ROOT / "docs" / "kubernetes.md"
TABLES = {"paths": paths.table, "sizes": sizing.table}
"""Name of a table on the page -> what makes it."""
_MATCHER = re.compile(r'(?P<name>\w+) (?P<type>=~|!~|!=|=) "(?P<value>[^"]*)"')


def main() -> int:
    """Write every generated file."""
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
    return 0


def generated() -> dict[Path, str]:
    """Return what every generated file should hold."""
    return {
        OPERATOR / "rules.yaml": _yaml("monitoring/rules", rules()),
        OPERATOR / "routing.yaml": _yaml("monitoring/alertmanager.yaml", routing()),
        PAGE: page(PAGE.read_text(encoding="utf-8")),
    }


def rules() -> dict[str, Any]:
    """Return Prometheus' rules as the operator takes them."""
    groups: dict[str, dict[str, Any]] = {}
    for name in ("recording", "alerts"):
        for group in _read(f"monitoring/rules/{name}.yaml")["groups"]:
            kept = groups.setdefault(f"{group['name']}-{name}", {"name": f"{group['name']}-{name}", "rules": []})
            kept["rules"] += group["rules"]
    return _manifest("monitoring.coreos.com/v1", "PrometheusRule", {"groups": list(groups.values())})


def routing() -> dict[str, Any]:
    """Return Alertmanager's routing as the operator takes it: the same, in its own spelling."""
    found = _read("monitoring/alertmanager.yaml")
    spec = {
        "route": _route(found["route"]),
        "receivers": [_receiver(one) for one in found["receivers"]],
        "inhibitRules": [
            {
                "sourceMatch": [_matcher(one) for one in rule["source_matchers"]],
                "targetMatch": [_matcher(one) for one in rule["target_matchers"]],
            }
            for rule in found["inhibit_rules"]
        ],
    }
    return _manifest("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig", spec)


def page(text: str) -> str:
    """Return the page with its tables made anew.

    Raises:
        ValueError: a table's marks are missing.
    """
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: python -m tests.manifests.generate -->", f"<!-- /{name} -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"{PAGE}: expected the marks {begin} and {end}")
        text = f"{before}{begin}\n{table()}{end}{after}"
    return text


def _route(found: dict[str, Any]) -> dict[str, Any]:
    route: dict[str, Any] = {}
    for key, value in found.items():
        if key == "matchers":
            route[key] = [_matcher(one) for one in value]
        elif key == "routes":
            route[key] = [_route(one) for one in value]
        else:
            route[_camel(key)] = value
    return route


def _receiver(found: dict[str, Any]) -> dict[str, Any]:
    receiver: dict[str, Any] = {"name": found["name"]}
    for hook in found.get("webhook_configs", []):
        receiver.setdefault("webhookConfigs", []).append(
            {
                "url": hook["url"].replace("//governor:", "//quillflow-governor.quillflow.svc.cluster.local:"),
                "sendResolved": hook["send_resolved"],
                "httpConfig": {"authorization": {"credentials": {"name": "quillflow-tokens", "key": "governor"}}},
            }
        )
    return receiver


def _matcher(text: str) -> dict[str, str]:
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f'monitoring/alertmanager.yaml: expected a matcher such as a = "b", found {text}')
    return {"name": found["name"], "matchType": found["type"], "value": found["value"]}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(one.capitalize() for one in others)


def _read(name: str) -> Any:
    return yaml.load((ROOT / name).read_text(encoding="utf-8"), Loader)  # noqa: S506 - a safe loader


def _manifest(api: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        "name": "quillflow",
        "namespace": "quillflow",
        "labels": {"app.kubernetes.io/part-of": "quillflow"},
    }
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _yaml(source: str, content: dict[str, Any]) -> str:
    lead = f"# Generated from {source} by python -m tests.manifests.generate; a test compares them.\n"
    return lead + yaml.safe_dump(content, sort_keys=False, width=110, allow_unicode=True)


if __name__ == "__main__":
    sys.exit(main())
