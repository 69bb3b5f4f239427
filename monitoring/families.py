"""Prometheus' metric families in one line each: a gauge, a counter, and one value a label."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric


class Collector(Protocol):
    """Knows metrics."""

    def collect(self) -> Iterator[Metric]:
        """Return all of them, as they are now.

        Raises:
            DataError: what they are read from cannot be read.
        """


def gauge(name: str, told: str, value: float) -> Metric:
    """Return a gauge."""
    return GaugeMetricFamily(name, told, value=value)


def counter(name: str, told: str, value: float) -> Metric:
    """Return a counter; the name is without ``_total``."""
    return CounterMetricFamily(name, told, value=value)


def by(name: str, told: str, label: str, values: Mapping[str, float], *, total: bool = False) -> Metric:
    """Return a gauge, or with ``total`` a counter, of one value a label."""
    kind = CounterMetricFamily if total else GaugeMetricFamily
    family = kind(name, told, labels=[label])
    for value, number in values.items():
        family.add_metric([value], float(number))
    return family
