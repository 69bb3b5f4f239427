"""The namespace that steps run in: what the site's file names is there, steps are let in, and there is room."""

import re

from pipelines.doctor.looking import Look
from pipelines.site import Place, Site

PROFILE = "app.kubernetes.io/part-of", "kubeflow-profile"
ENFORCED = "pod-security.kubernetes.io/enforce"
ARTIFACTS = "mlpipeline-minio-artifact"
"""Secret that KFP's launcher reads before every step, unless its ConfigMap names another."""
LAUNCHER = "kfp-launcher"
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "K": 1e3}
_UNITS |= {unit: 1000.0**power for power, unit in enumerate("MGTPE", 2)}
_UNITS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)}


def check_namespace(look: Look, site: Site) -> None:
    """Check the site's namespace, if it names one."""
    base = f"/api/v1/namespaces/{site.namespace}"
    _check_labels(look, site, base)
    check_quotas(look, site)
    lenders = {
        site.deploy_token: "base quillflow-lend-token",
        site.trainjob_token: "trainjob quillflow-lend-trainjobs",
    }
    lent = {named: {"token": "", "ca.crt": ""} for named in lenders if named}
    for kind, wanted in (("secrets", {**site.secrets, **lent}), ("configmaps", site.settings)):
        for named, keys in wanted.items():
            name = f"{kind[:-1]}: {named}"
            do = f"make it in {site.namespace} with the keys {', '.join(keys)}"
            if named in lent:
                part, lender = lenders[named].split()
                folder = "k8s/base" if part == "base" else f"k8s/components/{part}"
                do = f"apply {folder}, and: kubectl create job --from=cronjob/{lender} now"
            there = look.get(name, f"{base}/{kind}/{named}", do, missing={})
            if there is None:
                continue
            lacking = sorted(set(keys) - set(there.get("data") or {}))
            if not there:
                look.found.fail(name, f"not in {site.namespace}", do)
            elif lacking:
                look.found.fail(name, f"lacks {', '.join(lacking)}", do)
            else:
                look.found.ok(name, f"there, with {', '.join(keys)}")
    _check_artifacts(look, site, base)
    others = {f"serviceaccounts/{site.service_account}": site.service_account} if site.service_account else {}
    others |= {f"secrets/{named}": named for named in site.pull_secrets}
    for path, named in others.items():
        name = f"{path.partition('/')[0][:-1]}: {named}"
        there = look.get(name, f"{base}/{path}", f"make it in {site.namespace}", missing={})
        if there:
            look.found.ok(name, "there")
        elif there is not None:
            look.found.fail(name, f"not in {site.namespace}", f"make it in {site.namespace}")
    if site.checkpoints_claim:
        _check_claim(look, site, f"{base}/persistentvolumeclaims/{site.checkpoints_claim}")


def _check_labels(look: Look, site: Site, base: str) -> None:
    there = look.get("kubernetes: namespace", base, "make it, or correct namespace", missing={})
    if there is None:
        return
    if not there:
        look.found.fail("kubernetes: namespace", f"there is no {site.namespace}", "make it, or correct namespace")
        return
    labels = there["metadata"].get("labels") or {}
    label, value = PROFILE
    if labels.get(ENFORCED) == "restricted" and not site.run_as:
        look.found.fail(
            "kubernetes: namespace",
            "Pod Security lets no step in: run_as = 0 leaves out who it runs as",
            "give run_as another number in the site's file: 10001",
        )
    elif labels.get(label) != value:
        look.found.warn(
            "kubernetes: namespace",
            f"lacks the label {label}={value}",
            "where KFP serves several users, its stores let in no other: "
            f"kubectl label namespace {site.namespace} {label}={value}",
        )
    else:
        look.found.ok("kubernetes: namespace", f"a profile, Pod Security {labels.get(ENFORCED, 'not enforced')}")


def _check_artifacts(look: Look, site: Site, base: str) -> None:
    name, do = (
        f"secret: {ARTIFACTS}",
        f"KFP's profile controller makes it; or name other keys in ConfigMap {LAUNCHER}",
    )
    there = look.get(name, f"{base}/secrets/{ARTIFACTS}", do, missing={})
    if there is None:
        return
    lacking = sorted({"accesskey", "secretkey"} - set(there.get("data") or {}))
    if not lacking:
        look.found.ok(name, "there, for KFP's launcher")
        return
    settings = look.get(f"configmap: {LAUNCHER}", f"{base}/configmaps/{LAUNCHER}", do, missing={})
    said = "lacks " + ", ".join(lacking) if there else f"not in {site.namespace}"
    if settings and "providers" in (settings.get("data") or {}):
        look.found.warn(
            name, f"{said}, and {LAUNCHER} names stores of its own", "see that it names their keys, too"
        )
    elif settings is not None:
        look.found.fail(name, f"{said}: no step can read or write an artifact", do)


def check_quotas(look: Look, site: Site) -> None:
    """Check that every kind of step fits into the namespace's quotas: what does not waits for ever."""
    name = "kubernetes: quota"
    there = look.get(name, f"/api/v1/namespaces/{site.namespace}/resourcequotas", "look by hand")
    if there is None:
        return
    tight, full = [], []
    for quota in there.get("items", []):
        hard, used = quota["spec"].get("hard", {}), quota.get("status", {}).get("used", {})
        for resource, (wanted, kind) in _most_wanted(site).items():
            if resource not in hard:
                continue
            most, taken = amount(hard[resource]), amount(used.get(resource, "0"))
            told = f"{kind} wants {wanted:g} of {resource}, of which "
            if most < wanted:
                tight.append(f"{told}{hard[resource]} may be had")
            elif most - taken < wanted:
                full.append(f"{told}{used[resource]} of {hard[resource]} are taken")
    if tight:
        look.found.fail(
            name,
            "; ".join(tight),
            "such a step waits for ever: raise the quota, or ask for less in the site's file",
        )
    elif full:
        look.found.warn(name, "; ".join(full), "such a step waits until others end")
    else:
        look.found.ok(name, "every kind of step fits")


def _most_wanted(site: Site) -> dict[str, tuple[float, str]]:
    """Return resource of a quota -> the most that one step asks for, and which kind that is."""
    found: dict[str, tuple[float, str]] = {}
    for kind in Site.KINDS:
        place: Place = getattr(site, kind)
        # KFP asks for what it limits to. Extended resources are counted by what is asked for alone.
        asked = {f"requests.{place.gpu_type}": float(place.gpus)} if place.gpus else {}
        for resource, text in (("cpu", place.cpu), ("memory", place.memory)):
            asked |= {f"{bound}.{resource}": amount(text) for bound in ("requests", "limits")}
        for resource, wanted in asked.items():
            if wanted > found.get(resource, (0.0, ""))[0]:
                found[resource] = wanted, kind
    return found


def amount(text: str) -> float:
    """Return a quantity of Kubernetes as a number: "500m" is a half, "1Ki" 1024."""
    number = re.match(r"[\d.]+", text)
    if number is None or text[number.end() :] not in _UNITS:
        return 0.0
    return float(number[0]) * _UNITS[text[number.end() :]]


def _check_claim(look: Look, site: Site, path: str) -> None:
    name, do = f"claim: {site.checkpoints_claim}", f"make it in {site.namespace}, or give checkpoints a workspace"
    there = look.get(name, path, do, missing={})
    if there is None:
        return
    phase = there.get("status", {}).get("phase", "missing")
    if phase == "Bound":
        look.found.ok(name, f"bound, {there['status'].get('capacity', {}).get('storage', '?')}")
    elif phase == "Pending":
        look.found.warn(
            name, "not bound to a volume yet", "fine where it waits for its first pod; else look at its events"
        )
    else:
        look.found.fail(name, phase.lower(), do)
