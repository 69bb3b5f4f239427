"""How a new champion does beside the one before, asked of Prometheus.

Both are asked about over their own time: the new one since it took over, the one before over the same length
before that, or as far back as LOOK_BACK_S where less was read then.

Servers count under the registry's version where they follow the alias, and under the bundle's short digest where
they were told a bundle (on a cluster): a model's series are those of either name.
"""

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException

from htr.bundle import short
from htr.errors import ServiceError
from monitoring.governor.addresses import without_user_info
from monitoring.governor.events import Champion, Figures

LEAST_S = 60.0
LOOK_BACK_S = 7 * 86_400.0
TIMEOUT_S = 10.0
QUERIES = {
    "readings": "sum(increase(quillflow_readings_total{{{model}}}[{span}s]))",
    "doubt": (
        "sum(increase(quillflow_reading_doubt_sum{{{model}}}[{span}s])) / "
        "sum(increase(quillflow_reading_doubt_count{{{model}}}[{span}s]))"
    ),
    "error_rate": (
        '(sum(increase(quillflow_requests_total{{{model},outcome="failed"}}[{span}s])) or vector(0)) / '
        "sum(increase(quillflow_requests_total{{{model}}}[{span}s]))"
    ),
    "latency": (
        "histogram_quantile(0.95, sum by (le) (increase(quillflow_request_seconds_bucket{{{model}}}[{span}s])))"
    ),
    "cer": "max(last_over_time(quillflow_measured_cer{{{digest}}}[{span}s]))",
}
"""Name of a figure -> the query for it; ``model`` and ``digest`` select one model's series."""


@dataclass(frozen=True)
class PrometheusMeasures:
    """Asks one Prometheus server."""

    url: str

    def compare(self, champion: Champion, watched_s: float) -> tuple[Figures, Figures]:
        """Return the figures of a new champion and of the one before it.

        Args:
            champion: the new one.
            watched_s: seconds since it took over.
        """
        now = self._figures(champion.version, champion.digest, max(LEAST_S, watched_s))
        before = self._figures(champion.previous, champion.previous_digest, LOOK_BACK_S + watched_s)
        return now, before

    def _figures(self, version: str, digest: str, span_s: float) -> Figures:
        values = {
            name: self._ask(
                query.format(
                    model=f"model_version=~{json.dumps(_either(version, digest))}",
                    digest=f"bundle_digest={json.dumps(digest)}",
                    span=math.ceil(span_s),
                )
            )
            for name, query in QUERIES.items()
        }
        return Figures(
            readings=values["readings"] or 0.0,
            doubt=values["doubt"],
            error_rate=values["error_rate"],
            latency=values["latency"],
            cer=values["cer"],
        )

    def _ask(self, query: str) -> float | None:
        address = f"{self.url.rstrip('/')}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:  # noqa: S310 - a setting
                found = json.load(response)["data"]["result"]
            value = float(found[0]["value"][1]) if found else math.nan
        except (OSError, HTTPException, ValueError, KeyError, IndexError, TypeError) as error:
            said = f"Prometheus at {self.url}: {error}; check --prometheus"
            raise ServiceError(without_user_info(said, self.url)) from error
        return value if math.isfinite(value) else None


def _either(version: str, digest: str) -> str:
    """Return the pattern of the names that a model's series go by; Prometheus matches whole names."""
    by_digest = [short(digest)] if digest.startswith("sha256:") else []  # else the registry knows none
    return "|".join(re.escape(name) for name in (version, *by_digest))
