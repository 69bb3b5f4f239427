"""What the server tells Prometheus at ``/metrics``, beside what KServe counts there itself.

The path wants the token like any other: it tells how much is read, and how well.
"""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serving.admission import Admission
from serving.answers import Outcome
from serving.prediction_log import PredictionLog
from serving.refusals import ImageRefusedError, RefusedError, RequestError, TooSlowError
from serving.served import Served

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30.0)
DOUBTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)


class Metrics:
    """Counts what is read and what is refused. Safe to use from any thread.

    Args:
        registry: where Prometheus' values are kept; KServe's route shows the default one.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "quillflow_requests",
            "Requests to read, by what came of them: read, refused (the client's affair) or failed (ours).",
            ["model_version", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "quillflow_request_seconds",
            "Seconds from a whole request to its answer, the wait for a thread included.",
            ["model_version"],
            buckets=SECONDS,
            registry=registry,
        )
        self._readings = Counter("quillflow_readings", "Lines read.", ["model_version"], registry=registry)
        self._doubt = Histogram(
            "quillflow_reading_doubt",
            "One minus the confidence of a reading: the probability that it has an error.",
            ["model_version"],
            buckets=DOUBTS,
            registry=registry,
        )
        self._empty = Counter(
            "quillflow_empty_readings", "Lines on which no text was read.", ["model_version"], registry=registry
        )
        self._verdicts = Counter(
            "quillflow_line_verdicts", "Images, by the words of their verdict.", ["verdict"], registry=registry
        )
        self._refused = Counter(
            "quillflow_http_refusals",
            "Requests to read that were answered with an error over HTTP.",
            ["status"],
            registry=registry,
        )

    def answered(self, version: str, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Count a request that was read.

        Args:
            version: of the model that read it.
            outcomes: of its images, refused ones among them where the answer is a partial one.
            seconds: how long it took.
        """
        self._requests.labels(version, "read").inc()
        self._seconds.labels(version).observe(seconds)
        self.lines(version, outcomes)

    def lines(self, version: str, outcomes: Sequence[Outcome]) -> None:
        """Count lines, whatever request they came in."""
        for outcome in outcomes:
            if isinstance(outcome, ImageRefusedError):
                self._verdicts.labels(outcome.verdict.value).inc()
                continue
            self._readings.labels(version).inc()
            self._doubt.labels(version).observe(1.0 - outcome.reading.confidence)
            if not outcome.reading.text:
                self._empty.labels(version).inc()
            for verdict in outcome.verdicts:
                self._verdicts.labels(verdict.value).inc()

    def unanswered(self, version: str, error: Exception, seconds: float) -> None:
        """Count a request that was not read."""
        ours = isinstance(error, TooSlowError) or not isinstance(error, RequestError | RefusedError)
        self._requests.labels(version, "failed" if ours else "refused").inc()
        if ours:
            self._seconds.labels(version).observe(seconds)
        if isinstance(error, ImageRefusedError):
            self._verdicts.labels(error.verdict.value).inc()

    def refused(self, status: int) -> None:
        """Count an error answered over HTTP."""
        self._refused.labels(str(status)).inc()


class ServerState(Collector):
    """What is asked of the server's parts when Prometheus asks.

    Args:
        serve: returns what is read with now.
        admission: whose requests are counted.
        log: the prediction log, or None.
    """

    def __init__(self, serve: Callable[[], Served], admission: Admission, log: PredictionLog | None) -> None:
        self._serve, self._admission, self._log = serve, admission, log

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of this moment."""
        served = self._serve()
        model = GaugeMetricFamily(
            "quillflow_model_info", "1: the model that reads now.", labels=["model_version", "bundle_digest"]
        )
        model.add_metric([served.version, served.recogniser.digest], 1)
        yield model
        pending = "Requests that are being read or wait for a thread."
        yield GaugeMetricFamily("quillflow_requests_pending", pending, value=self._admission.num_pending)
        most = "So many may be; more are refused."
        yield GaugeMetricFamily("quillflow_requests_pending_limit", most, value=self._admission.most)
        if self._log is None:
            return
        rows = {"written": self._log.num_written, "dropped": self._log.num_dropped}
        for name, number in rows.items():
            told = f"Rows of the prediction log that were {name}."
            yield CounterMetricFamily(f"quillflow_prediction_log_{name}", told, value=number)
        failures = "Times that the disk refused the prediction log."
        yield CounterMetricFamily("quillflow_prediction_log_failures", failures, value=self._log.num_failures)
        waiting = "Rows that wait to be written."
        yield GaugeMetricFamily("quillflow_prediction_log_waiting", waiting, value=self._log.num_waiting)
