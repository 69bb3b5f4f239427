import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from htr.errors import ServiceError
from monitoring.rollout.counts import Counts, Sample, counted_between, sample_of
from monitoring.rollout.guards import Pairs, bounds_of, judge
from monitoring.rollout.policy import Policy
from monitoring.rollout.sources import Pages, Prometheus, parse_page
from tests.alerting import free_port
from tests.recorded_metrics import GOLDEN, LINES
from tests.servers import wait_until

HAS_PROMETHEUS = shutil.which("prometheus") is not None


def recorded(arm: str, number: int) -> Sample:
    return sample_of(parse_page((GOLDEN / f"{arm}-{number}.txt").read_text()), where=arm)


@contextlib.contextmanager
def serving(pages: dict[str, str]) -> Iterator[str]:
    """Serve texts by path; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = pages.get(self.path.partition("?")[0])
            data = (text or "").encode()
            self.send_response(200 if text is not None else 503)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("arm", ["stable", "canary"])
def test_the_pages_of_a_real_server_count_what_was_sent(arm: str) -> None:
    first, second = recorded(arm, 1), recorded(arm, 2)
    counts = counted_between({"one": first}, {"one": second}, since=0.0)
    assert counts["read"] == LINES + 1
    assert counts.requests == counts["within +Inf"] == counts["readings"] == LINES + 1
    assert counts["images"] == LINES + 2
    assert counts["remarked"] == 2, "a blank sheet, and bytes that are no image"
    assert counts["failed"] == counts["shed"] == 0
    assert second.start > 1e9
    assert second.digest.startswith("sha256:")
    if arm == "canary":
        assert counts["doubtful"] == LINES + 1, "taught nothing, and sure of nothing"


def test_recorded_counts_are_judged_alike_and_bound_the_latency() -> None:
    both = [
        counted_between({"a": recorded(arm, 1)}, {"a": recorded(arm, 2)}, since=0.0)
        for arm in ("canary", "stable")
    ]
    found = judge(*both, Pairs(), bounds_of(Counts(values=recorded("stable", 2).values)), Policy())
    assert {one.guard: one.canary[1] for one in found}["failures"] == LINES + 1
    many = Counts(values={name: value * 10 for name, value in recorded("stable", 2).values.items()})
    assert float(bounds_of(many)["latency_p95"]) <= float(bounds_of(many)["latency_p99"])


def test_pages_that_cannot_be_had_are_left_out_while_another_answers() -> None:
    pages = {"/one/metrics": (GOLDEN / "canary-1.txt").read_text(), "/other/metrics": "# nothing of ours\n"}
    with serving(pages) as url:
        found = Pages(stable=(f"{url}/one", f"{url}/away"), canary=(f"{url}/away",))
        assert set(found.read("stable")) == {f"{url}/one"}
        with pytest.raises(ServiceError, match="no metrics"):
            found.read("canary")
        with pytest.raises(ServiceError, match="is it the model server's address"):
            Pages(stable=(f"{url}/other",), canary=()).read("stable")


def test_what_prometheus_does_not_understand_is_told_without_the_password() -> None:
    with serving({"/api/v1/query": json.dumps({"status": "error"})}) as url:
        with pytest.raises(ServiceError, match="no answer of its own"):
            Prometheus(url=url, stable="x", canary="y").read("stable")
        with pytest.raises(ServiceError, match="no metrics") as told:
            Prometheus(url=url.replace("//", "//me:secret@"), stable="x", canary="y").read("stable")
        assert "secret" not in str(told.value)


@pytest.mark.skipif(not HAS_PROMETHEUS, reason="Debian's prometheus is not installed")
def test_a_real_prometheus_tells_the_same_as_the_pages(tmp_path: Path) -> None:
    pages = {f"/{arm}/metrics": (GOLDEN / f"{arm}-2.txt").read_text() for arm in ("stable", "canary")}
    with serving(pages) as url:
        jobs = [
            {
                "job_name": f"quillflow-{job}",
                "metrics_path": f"/{arm}/metrics",
                "static_configs": [{"targets": [url[7:]]}],
            }
            for job, arm in (("serving", "stable"), ("canary", "canary"))
        ]
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
        (tmp_path / "prometheus.yaml").write_text(json.dumps(config))
        address = f"127.0.0.1:{free_port()}"
        command = [
            "prometheus",
            f"--config.file={tmp_path}/prometheus.yaml",
            f"--storage.tsdb.path={tmp_path}/data",
        ]
        command += [f"--web.listen-address={address}"]
        with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                source = Prometheus(
                    url=f"http://{address}", stable='job="quillflow-serving"', canary='job="quillflow-canary"'
                )

                def is_there() -> bool:
                    with contextlib.suppress(ServiceError):
                        return bool(source.read("stable")) and bool(source.read("canary"))
                    return False

                wait_until(is_there, timeout_s=60)
                for arm in ("stable", "canary"):
                    (found,) = source.read(arm).values()  # type: ignore[arg-type]
                    assert found == recorded(arm, 2)
            finally:
                process.terminate()
                process.wait(timeout=20)
