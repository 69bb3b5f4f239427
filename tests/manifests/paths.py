"""Every path that the policies allow, as rows: from, to, port, what for, and which part of k8s/ allows it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.manifests.rendering import COMPONENTS, OVERLAYS, Manifest, of_kind, rendered

HOME = "quillflow"
_EVERYBODY = "every pod"


@dataclass(frozen=True, order=True)
class Path:
    """One allowed path, as one end of it says."""

    source: str
    target: str
    port: str
    end: str
    """``out``: the source's policy allows it; ``in``: the target's."""
    why: str

    @property
    def way(self) -> tuple[str, str, str]:
        """Who, whom, and where."""
        return self.source, self.target, self.port

    @property
    def needs_both(self) -> bool:
        """Whether both ends are pods under policies of ours."""
        return all("/" in one and one.partition("/")[0] in (HOME, f"{HOME}-platform") for one in self.way[:2])


def table() -> str:
    """Return the table of docs/kubernetes.md: every path of every part, once."""
    rows: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    for part, found in _by_part().items():
        for one in found:
            rows.setdefault(one.way[:2], []).append((part, one))
    lines = ["| from | to | port | what for | in |", "|---|---|---|---|---|"]
    for (source, target), both in sorted(rows.items()):
        said = [one for _, one in both if one.end == "out"] or [one for _, one in both]  # who begins it knows why
        cells = [
            source,
            target,
            ", ".join(_once(one.port for _, one in both)),
            "; ".join(_once(one.why for one in said)),
            ", ".join(_once(part for part, _ in both)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def paths_of(manifests: tuple[Manifest, ...]) -> list[Path]:
    """Return every path that a rendering's policies allow."""
    found: list[Path] = []
    for policy in of_kind(manifests, "NetworkPolicy"):
        spec, home = policy["spec"], policy["metadata"]["namespace"]
        why = policy["metadata"]["annotations"]["kubernetes.io/description"]
        for own in _pods(spec["podSelector"], home):
            for rule in spec.get("egress", []):
                for peer in _peers(rule["to"], home):
                    found += [Path(own, peer, port, "out", why) for port in _ports(rule)]
            for rule in spec.get("ingress", []):
                for peer in _peers(rule["from"], home):
                    found += [Path(peer, own, port, "in", why) for port in _ports(rule)]
    return sorted(set(found))


def _by_part() -> dict[str, list[Path]]:
    base = paths_of(rendered("base"))
    found = {"base": base, "platform": paths_of(rendered("platform"))}
    for overlay in OVERLAYS:
        found[overlay] = paths_of(rendered(overlay))
    for name in COMPONENTS:
        found[name] = paths_of(rendered("local", *(["trainjob"] if name in ("gpu", "kueue") else []), name))
    ways = {one.way for part in ("base", "platform") for one in found[part]}
    only = {name: [one for one in ones if one.way not in ways] for name, ones in found.items()}
    theirs = {
        one.way for name in COMPONENTS for one in only[name] if one.way not in {x.way for x in only["local"]}
    }
    kept = {"base": base, "platform": found["platform"]}
    for name in OVERLAYS:
        kept[name] = [one for one in only[name] if one.way not in theirs]
    for name in COMPONENTS:
        kept[name] = [one for one in only[name] if one.way in theirs]
    kept["gpu"] = kept["kueue"] = []
    return kept


def _peers(peers: list[dict[str, Any]], home: str) -> Iterator[str]:
    for peer in peers:
        if set(peer) == {"ipBlock"}:
            yield f"addresses {peer['ipBlock']['cidr']}"
            continue
        space = home
        if "namespaceSelector" in peer:
            labels = dict(peer["namespaceSelector"]["matchLabels"])
            space = labels.pop("kubernetes.io/metadata.name", "")
            space = space or " ".join(f"namespaces with {key}={value}" for key, value in sorted(labels.items()))
        if "podSelector" in peer:
            yield from _pods(peer["podSelector"], space)
        else:
            yield space


def _pods(selector: dict[str, Any], space: str) -> Iterator[str]:
    if not selector:
        yield f"{_EVERYBODY} of {space}"
    for key, value in selector.get("matchLabels", {}).items():
        yield f"{space}/{_called(key, value)}"
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In":
            raise ValueError(f"NetworkPolicy: operator {expression['operator']} has no row in the table")
        yield from (f"{space}/{_called(expression['key'], value)}" for value in expression["values"])
    if len(selector.get("matchLabels", {})) + len(selector.get("matchExpressions", [])) > 1:
        raise ValueError(f"NetworkPolicy: selector {selector} of several labels has no row in the table")


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _called(key: str, value: str) -> str:
    return "pipeline" if key == "pipelines.kubeflow.org/v2_component" else value


def _ports(rule: dict[str, Any]) -> list[str]:
    return [
        f"{one['protocol']} {one['port']}" + (f" to {one['endPort']}" if "endPort" in one else "")
        for one in rule["ports"]
    ]
