"""What a server has counted so far, read off its metrics; and what it counted between two looks.

A sample is what one process has counted since it began. Counters fall back to 0 when a process starts anew; its
start time tells, and so does a counter that went down.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from htr.errors import ServiceError

FAMILIES = (
    "quillflow_model_info",
    "quillflow_requests_total",
    "quillflow_request_seconds_bucket",
    "quillflow_readings_total",
    "quillflow_reading_doubt_bucket",
    "quillflow_empty_readings_total",
    "quillflow_line_verdicts_total",
    "quillflow_http_refusals_total",
    "process_start_time_seconds",
)
DOUBTFUL = "0.5"
"""Bucket of the doubt histogram above which a reading is doubtful."""
_SHED = {"429", "503"}
Series = tuple[str, Mapping[str, str], float]
"""Name, labels and value of one series."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What one process has counted since it began, for one bundle."""

    start: float
    """When the process began, in seconds since 1970; 0 where it does not say."""
    digest: str
    """``sha256:...`` of the bundle that it reads with now."""
    values: Mapping[str, float]
    """``read``, ``failed``, ``shed``, ``readings``, ``doubtful``, ``empty``, ``images``, ``remarked``, and one
    ``within SECONDS`` a bucket of the latency histogram."""


def sample_of(series: Iterable[Series], *, where: str) -> Sample:
    """Return the sample that a process's metrics make.

    Raises:
        ServiceError: they are not those of a model server of ours.
    """
    found = list(series)
    info = [labels for name, labels, value in found if name == "quillflow_model_info" and value == 1]
    if len(info) != 1:
        raise ServiceError(f"{where}: no quillflow_model_info in its metrics; is it the model server's address?")
    version = info[0].get("model_version", "")
    values = dict.fromkeys(("read", "failed", "shed", "readings", "doubtful", "empty", "images", "remarked"), 0.0)
    start = 0.0
    for name, labels, value in found:
        if labels.get("model_version", version) != version:
            continue  # of a model that the same process served before
        if name == "process_start_time_seconds":
            start = value
        for key, sign in _means(name, labels):
            values[key] = values.get(key, 0.0) + sign * value
    values["doubtful"] = max(0.0, values["doubtful"])  # a page is not drawn in one instant
    return Sample(start=start, digest=info[0].get("bundle_digest", ""), values=values)


def _means(name: str, labels: Mapping[str, str]) -> Iterable[tuple[str, int]]:
    """Return what a series adds to."""
    match name:
        case "quillflow_requests_total" if labels.get("outcome") in {"read", "failed"}:
            return [(labels["outcome"], 1)]
        case "quillflow_http_refusals_total" if labels.get("status") in _SHED:
            return [("shed", 1)]
        case "quillflow_request_seconds_bucket":
            return [(f"within {labels.get('le')}", 1)]
        case "quillflow_readings_total":
            return [("readings", 1)]
        case "quillflow_reading_doubt_bucket" if labels.get("le") in {DOUBTFUL, "+Inf"}:
            return [("doubtful", 1 if labels["le"] == "+Inf" else -1)]
        case "quillflow_empty_readings_total":
            return [("empty", 1)]
        case "quillflow_line_verdicts_total":
            return [("images", 1)] + [("remarked", 1)] * (labels.get("verdict") != "ok")
    return []


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What one arm has counted within a stage."""

    values: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.values.get(name, 0.0)

    def __add__(self, other: "Counts") -> "Counts":
        names = {*self.values, *other.values}
        return Counts(values={name: self[name] + other[name] for name in sorted(names)})

    @property
    def requests(self) -> float:
        """Requests that were read or failed inside."""
        return self["read"] + self["failed"]


def counted_between(last: Mapping[str, Sample], now: Mapping[str, Sample], *, since: float) -> Counts:
    """Return what the processes of an arm counted between two looks.

    Args:
        last: process -> its sample at the look before.
        now: the same now; of a process that is gone, what it counted since is lost.
        since: when the look before was, in seconds since 1970: a process that began later is counted from 0.
    """
    sums = Counts()
    for name, sample in now.items():
        base = last.get(name)
        began_anew = base is not None and (
            base.start != sample.start
            or base.digest != sample.digest
            or any(sample.values.get(key, 0.0) < value for key, value in base.values.items())
        )
        if base is None and sample.start <= since:
            continue  # it was there before and we did not see it: nobody knows what it counted since
        floor = {} if base is None or began_anew else base.values
        grown = {key: max(0.0, value - floor.get(key, 0.0)) for key, value in sample.values.items()}
        sums += Counts(values=grown)
    return sums


def sample_to_dict(sample: Sample) -> dict[str, Any]:
    """Return a sample as JSON holds it."""
    return {**asdict(sample), "values": {name: value for name, value in sample.values.items() if value}}
