"""Where counts come from: the servers' own metrics pages, or Prometheus. Both give a sample a process.

A page is one process's. Where an arm has several replicas, ask Prometheus: a Service's address gives the page of
whichever replica it likes.
"""

import json
import math
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal, Protocol

from htr.errors import ServiceError
from monitoring.governor.addresses import without_user_info
from monitoring.rollout.counts import FAMILIES, Sample, Series, sample_of

TIMEOUT_S = 10.0
MAX_BYTES = 8 << 20
Arm = Literal["stable", "canary"]


class Source(Protocol):
    """Says what the processes of an arm have counted."""

    def read(self, arm: Arm) -> dict[str, Sample]:
        """Return process -> sample; nothing where the arm has no process.

        Raises:
            ServiceError: it cannot be asked, or it answers what is no metrics.
        """


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The metrics pages of the servers themselves."""

    stable: tuple[str, ...]
    """Addresses of servers, ``http://...:8080``."""
    canary: tuple[str, ...]
    token_file: Path | None = None

    def read(self, arm: Arm) -> dict[str, Sample]:
        """Return a sample an address; one that does not answer is left out where another does.

        Raises:
            ServiceError: none of them answers.
        """
        found: dict[str, Sample] = {}
        failed: list[ServiceError] = []
        for url in self.stable if arm == "stable" else self.canary:
            try:
                text = _fetch(f"{url.rstrip('/')}/metrics", self.token_file)
                found[url] = sample_of(parse_page(text.decode("utf-8", "replace")), where=url)
            except ServiceError as error:
                failed.append(error)
        if failed and not found:
            raise failed[0]
        return found


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """A Prometheus server that scrapes both."""

    url: str
    stable: str
    """Selects the stable server's series: ``job="quillflow"``."""
    canary: str
    token_file: Path | None = None

    def read(self, arm: Arm) -> dict[str, Sample]:
        """Return a sample an instance.

        Raises:
            ServiceError: Prometheus is away or does not understand the selection.
        """
        names = "|".join(FAMILIES)
        selector = self.stable if arm == "stable" else self.canary
        query = urllib.parse.urlencode({"query": f'{{__name__=~"{names}",{selector}}}'})
        body = _fetch(f"{self.url.rstrip('/')}/api/v1/query?{query}", self.token_file)
        by_instance: dict[str, list[Series]] = {}
        try:
            for one in json.loads(body)["data"]["result"]:
                labels = dict(one["metric"])
                name, instance = labels.pop("__name__"), labels.get("instance", "")
                by_instance.setdefault(instance, []).append((name, labels, float(one["value"][1])))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ServiceError(
                f"Prometheus at {without_user_info(self.url)}: no answer of its own ({error!r})"
            ) from error
        return {name: sample_of(series, where=f"Prometheus, {name}") for name, series in by_instance.items()}


def parse_page(text: str) -> Iterator[Series]:
    """Return the series of a metrics page that are counted here; lines that are none are passed over."""
    from prometheus_client.parser import text_string_to_metric_families

    wanted = (line for line in text.splitlines() if line.startswith(FAMILIES))
    try:
        for family in text_string_to_metric_families("\n".join(wanted) + "\n"):
            for one in family.samples:
                if one.name in FAMILIES and math.isfinite(one.value):
                    yield one.name, one.labels, one.value
    except ValueError as error:
        raise ServiceError(f"a metrics page that Prometheus could not read either: {error}") from error


def _fetch(address: str, token_file: Path | None) -> bytes:
    headers: Mapping[str, str] = {}
    where = without_user_info(address.partition("?")[0], address)
    try:
        if token_file is not None:
            headers = {"Authorization": f"Bearer {token_file.read_text(encoding='utf-8').strip()}"}
        request = urllib.request.Request(address, headers=dict(headers))  # noqa: S310 - a setting
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            body: bytes = answer.read(MAX_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        said = without_user_info(str(getattr(error, "reason", None) or error), address)
        raise ServiceError(f"{where}: no metrics ({said}); is it up, and the token the right one?") from error
    if len(body) > MAX_BYTES:
        raise ServiceError(
            f"{where}: more than {MAX_BYTES >> 20} MiB of metrics; is it the model server's address?"
        )
    return body
