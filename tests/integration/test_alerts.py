"""Metric -> alert -> webhook -> governor -> pipeline run -> promotion -> rollback, each part a real process.

Two things are small here: the models are untaught, and the training is a pipeline of two steps by kfp.local, the
second of them our own promote step.
"""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from htr.bundle import Bundle
from htr.recogniser import Recogniser
from monitoring.dashboards.build import FOLDER, as_json, file_of
from monitoring.dashboards.panels import ALL
from monitoring.governor.journal import read_journal
from monitoring.rollout.policy import Policy as Rollout
from monitoring.verdict import Verdict
from serving.client import Client
from tests.alerting import (
    MONITORING,
    alertmanager,
    ask_prometheus,
    free_port,
    get,
    missing_programs,
    prometheus,
)
from tests.conftest import line_png
from tests.kubernetes_api import kubernetes_api
from tests.rollout import World
from tests.servers import ROOT, ModelRegistry, model_server, untaught_bundle, wait_until

needs_debian = pytest.mark.skipif(
    bool(missing_programs()), reason=f"not installed: {missing_programs()}; sh tests/debian-packages.sh"
)
GOVERNOR_TOKEN, SERVING_TOKEN = "governor-token-of-a-test", "serving-token-of-a-test"
POLICY = """version = 1
min_lines = 6
settle_s = 1
[watch]
min_readings = 30
doubt = 0.0
"""
PIPELINE = '''
import argparse, json
from pathlib import Path
from kfp import dsl, local
from components.image import PIPELINE_IMAGE
from components.promote.component import promote

@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def count(corrections: str) -> int:
    """Count corrected lines."""
    from htr.lines import LinesDataset

    return len(LinesDataset.open(corrections))

@dsl.pipeline(name="small")
def small(corrections: str, tracking_uri: str) -> int:
    counted = count(corrections=corrections)
    promote(version="2", compared_with="1", model_name="quillflow", tracking_uri=tracking_uri).after(counted)
    return counted.output

parser = argparse.ArgumentParser()
parser.add_argument("verb")
parser.add_argument("--root", type=Path)
parser.add_argument("-p", action="append")
args = parser.parse_args()
given = dict(pair.split("=", 1) for pair in args.p)
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(args.root / "kfp"), raise_on_error=True)
task = small(corrections=given["corrections"], tracking_uri=given["tracking_uri"])
result = {"promoted": True, "version": 2, "evaluated": given["lines"], "counted": task.output}
(args.root / "pipeline.json").write_text(json.dumps(result))
'''


@needs_debian
def test_rules_are_valid_and_say_what_their_tests_want() -> None:
    for words in (
        ["promtool", "check", "rules", "recording.yaml", "alerts.yaml"],
        ["promtool", "test", "rules", "tests.yaml", "tests_slow.yaml"],
        ["amtool", "check-config", "../alertmanager.yaml"],
    ):
        done = subprocess.run(words, cwd=MONITORING / "rules", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_debian
@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=HandwritingDrift", "route=governor"], "governor,people"),
        (["alertname=MeasuredErrorHigh", "route=governor"], "governor,people"),
        (["alertname=RequestsSlow"], "people"),
    ],
)
def test_alerts_go_where_they_belong(labels: list[str], receivers: str) -> None:
    words = ["amtool", "config", "routes", "test", "--config.file", str(MONITORING / "alertmanager.yaml"), *labels]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == receivers


def test_every_alert_is_in_the_docs_and_every_metric_of_a_query_too() -> None:
    docs = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rules = "".join((MONITORING / "rules" / name).read_text() for name in ("alerts.yaml", "recording.yaml"))
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) > 10
    assert not [name for name in alerts if f"`{name}`" not in docs]
    queries = rules + "".join(as_json(dashboard) for dashboard in ALL)
    metrics = {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\bquillflow_\w+", queries)}
    words = re.findall(r"`(\w+)", docs)
    known = {word for word in words if word.startswith("quillflow_")}
    endings = tuple(word for word in words if word.startswith("_"))
    assert not [name for name in metrics if name not in known and not name.endswith(endings)]


@pytest.mark.parametrize("dashboard", ALL, ids=lambda one: one.uid)
def test_dashboards_are_what_their_panels_say(dashboard: Any) -> None:
    assert (FOLDER / file_of(dashboard)).read_text() == as_json(dashboard), "python -m monitoring.dashboards.build"


class Story:
    """The parts of the loop, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = [line_png(f"line {number} of a letter", seed=number) for number in range(20)]
        self.surer, self.unsurer = self.two_models()
        self.registry = ModelRegistry(folder / "root")
        for bundle, version in ((self.surer, "1"), (self.unsurer, "2")):
            assert self.registry.add(bundle.path) == version
            self.registry.client.set_model_version_tag("quillflow", version, "bundle_digest", bundle.digest)
            self.registry.client.set_model_version_tag("quillflow", version, "cer", "0.2")
        self.registry.point("champion", "1")
        self.port = free_port()
        self.token = self.secret("governor-token", GOVERNOR_TOKEN)
        self.serving_token = self.secret("token", SERVING_TOKEN)
        (folder / "policy.toml").write_text(POLICY)
        self.begin_rollout()
        (folder / "pipelines").mkdir()
        (folder / "pipelines" / "__init__.py").touch()
        (folder / "pipelines" / "__main__.py").write_text(PIPELINE)

    def begin_rollout(self) -> None:
        """Leave the journal of a rollout that judges its canary, as a cluster's volume has it."""
        with kubernetes_api() as api:
            world = World(api, self.folder / "rollout")
            world.do(lambda guard: guard.start(Rollout(min_requests=10_000)))
            for _ in range(3):
                world.do(lambda guard: guard.step())
                world.traffic(500)

    def two_models(self) -> tuple[Bundle, Bundle]:
        """Return two untaught models, the one with less doubt first."""
        bundles = [Bundle.open(untaught_bundle(self.folder / f"model-{seed}", seed=seed)) for seed in (1, 2)]

        def doubt(bundle: Bundle) -> float:
            return sum(1 - one.confidence for one in Recogniser(bundle).read(self.images))

        first, second = sorted(bundles, key=doubt)
        return first, second

    def secret(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    @contextlib.contextmanager
    def governor(self, prometheus_url: str) -> Iterator[subprocess.Popen[str]]:
        words = ["--state", "state", "--policy", "policy.toml", "--local-root", "root", "--port", str(self.port)]
        words += ["--tracking-uri", self.registry.uri, "--corrections-store", "store", "--log", "log"]
        words += ["--verdict", "drift.json", "--prometheus", prometheus_url, "--token-file", str(self.token)]
        words += ["--rollout", "rollout"]
        words += ["--every-s", "1", "--registry-every-s", "2", "--measure-every-s", "2"]
        words += ["-p", f"tracking_uri={self.registry.uri}", "-p", f"lines={self.unsurer.path}"]
        command = [sys.executable, "-m", "monitoring", "serve-governor", *words]
        with (
            (self.folder / "governor.log").open("a") as errors,
            subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                assert select.select([process.stdout], [], [], 90)[0]
                assert process.stdout.readline().startswith("governor at"), (
                    self.folder / "governor.log"
                ).read_text()
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=20)
                finally:
                    process.kill()

    def write_verdict(self, state: str, digest: str) -> None:
        """Write what a drift check would have found about a model."""
        drifted = {"name": "slant", "drifted": state == "drift", "p_value": 1e-5, "threshold": 0.01, "shift": 0.4}
        found: dict[str, Any] = dict.fromkeys(Verdict.__dataclass_fields__)
        found |= {"format_version": 1, "state": state, "rows": 200, "rows_wanting": 0, "reference_rows": 300}
        found |= {"min_rows": 100, "alpha": 0.01, "bundle_digest": digest, "features": [drifted], "examples": []}
        found |= {"as_sent": [], "p_value": 1e-5}
        found["estimated"] = {"cer": 0.3, "interval": [0.2, 0.4], "reference_cer": 0.25, "harmless": True}
        (self.folder / "drift.json.new").write_text(json.dumps(found))
        (self.folder / "drift.json.new").replace(self.folder / "drift.json")

    def decided(self) -> list[tuple[str, str]]:
        return [(r.event.KIND, r.decision.choice) for r in read_journal(self.folder / "state")]

    def reason_of(self, choice: str) -> str:
        return next(r.decision.reason for r in read_journal(self.folder / "state") if r.decision.choice == choice)

    def has(self, kind: str, choice: str) -> bool:
        return (kind, choice) in self.decided()


def read_until(client: Client, images: Sequence[bytes], version: str) -> None:
    """Have images read until a version of the model reads them."""
    wait_until(lambda: client.read(images)[0].model_version == version, timeout_s=90)


@needs_debian
@pytest.mark.slow
def test_a_metric_becomes_an_alert_a_training_a_promotion_and_a_rollback(tmp_path: Path) -> None:
    story = Story(tmp_path)
    targets = {
        "targets: [governor:8090]": f"targets: ['127.0.0.1:{story.port}']",
        "/etc/quillflow/governor-token": str(story.token),
        "/etc/quillflow/token": str(story.serving_token),
    }
    serving = ["--model", "models:/quillflow@champion", "--tracking-uri", story.registry.uri, "--poll-s", "1"]
    serving += ["--log-dir", f"{tmp_path}/log", "--corrections", f"{tmp_path}/store", "--threads", "1"]
    serving += ["--cache-dir", f"{tmp_path}/cache", "--token-file", str(story.serving_token)]
    with (
        model_server(*serving) as server,
        alertmanager(tmp_path / "am", f"http://127.0.0.1:{story.port}", story.token) as alerts_to,
        prometheus(
            tmp_path / "prom",
            {**targets, "targets: [serving:8080]": f"targets: ['{server.url.removeprefix('http://')}']"},
            alerts_to,
        ) as prom,
    ):
        client = Client(server.url, token=SERVING_TOKEN)
        lines = client.read(story.images)
        with pytest.raises(Exception, match="instance 0"):
            client.read([b"<svg></svg>"])
        with story.governor(prom) as governor:
            wait_until(lambda: ask_prometheus(prom, "quillflow_readings_total"), timeout_s=60)
            story.write_verdict("drift", story.surer.digest)
            wait_until(lambda: story.has("alert", "ask_for_labels"), timeout_s=60)
            wait_until(lambda: list((tmp_path / "state" / "labelling").glob("*.json")), timeout_s=60)
            governor.send_signal(signal.SIGKILL)
        (request,) = (tmp_path / "state" / "labelling").glob("*.json")
        chosen = json.loads(request.read_text())
        assert chosen["wanted"] == len(chosen["lines"]) == 6
        assert {line["request_id"] for line in chosen["lines"]} == {lines[0].request_id}
        assert story.reason_of("ask_for_labels").startswith("HandwritingDrift (drift, record")

        with story.governor(prom):
            for number, line in enumerate(lines[:8]):
                chosen_by = "sample" if number % 2 else "reading"
                client.correct(line, f"line {number} of a letter", author="Ada", chosen_by=chosen_by)
            read_until(client, story.images, "2")
            wait_until(lambda: story.has("ended", "note") and story.has("champion", "note"), timeout_s=90)
            assert json.loads((tmp_path / "root" / "pipeline.json").read_text())["counted"] == 8
            (run,) = (tmp_path / "state" / "runs").iterdir()
            assert re.fullmatch(r"[0-9a-f]{20}-1", run.name)

            for _ in range(4):
                client.read(story.images)
            wait_until(lambda: client.read(story.images) and story.has("measured", "roll_back"), timeout_s=120)
            read_until(client, story.images, "1")
            told = story.reason_of("roll_back")
            assert re.match(r"version 2 does worse: .*doubt 0\.\d+ after 0\.\d+, 0 more would be let be", told), (
                told
            )
            wait_until(lambda: "ChampionRolledBack" in firing(prom), timeout_s=60)
            assert str(story.registry.client.get_model_version_by_alias("quillflow", "champion").version) == "1"
            every_dashboard_query_has_data(prom)
            kept = {
                name: value for name, value in firing(prom).items() if name in {"GovernorDown", "RequestsFail"}
            }
            assert not kept
        assert len([one for one in story.decided() if one[1] == "train"]) == 1
        assert len([one for one in story.decided() if one[1] == "roll_back"]) == 1


def firing(prom: str) -> dict[str, Any]:
    """Return the alerts that fire, by name."""
    alerts = get(f"{prom}/api/v1/alerts")["data"]["alerts"]
    return {one["labels"]["alertname"]: one for one in alerts if one["state"] == "firing"}


def every_dashboard_query_has_data(prom: str) -> None:
    """Fail where a query of a dashboard is wrong, or comes to nothing after a real run."""
    queries = {query for dashboard in ALL for panel in dashboard.panels for query in panel.queries.values()}
    empty = [query for query in sorted(queries) if not ask_prometheus(prom, query)]
    assert not empty
