"""Whether a run that is about to be asked for can get what its steps want: what does not fit waits, for ever."""

from htr.errors import SettingsError
from pipelines.doctor.cluster import check_gpus
from pipelines.doctor.findings import Findings
from pipelines.doctor.looking import Look, connect
from pipelines.doctor.namespace import check_quotas
from pipelines.site import Site

TIMEOUT_S = 5.0


def warnings_of_room(site: Site) -> list[str]:
    """Look at the cluster that this machine's kubeconfig, or this pod's account, leads to.

    A node may be added while a step waits, so that a missing one is a warning; a quota is somebody's will.

    Returns:
        What may keep a step waiting, a line each.

    Raises:
        SettingsError: a quota of the namespace is smaller than what one step asks for.
    """
    wanted = f"{site.train.gpus} x {site.train.gpu_type}"
    found = Findings(where="here")
    api = connect(found) if site.namespace else None
    if api is not None:
        look = Look(found, api, TIMEOUT_S)
        if look.get("kubernetes: answers", "/version", "correct the kubeconfig") is None:
            api = None
    if api is None:
        if not site.train.gpus:
            return []
        return [
            f"trainings ask for {wanted}, and no cluster was looked at: without a node and a quota for it they "
            f"wait until the run ends{_deadline(site)}; gpus = 0 under [train] of the site's file asks for none"
        ]
    check_quotas(look, site)
    check_gpus(look, site.train)
    told = {check.name: check for check in found.checks}
    quota = told["kubernetes: quota"]
    if quota.state == "failed":
        raise SettingsError(f"{site.namespace}: {quota.said}; {quota.do}; --unchecked starts it all the same")
    return [f"{check.said}; {check.do}" for check in told.values() if check.do]


def _deadline(site: Site) -> str:
    return f" after {site.run_timeout_s / 3600:g} hours" if site.run_timeout_s else ", which it never does"
