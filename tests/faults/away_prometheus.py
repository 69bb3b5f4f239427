"""A real Prometheus that is slow, refuses or lies while a rollout's guard asks it how the new bundle does."""

import json
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.rollout_traffic import Server, Traits
from htr.errors import QuillflowError, ServiceError
from monitoring.rollout import sources
from monitoring.rollout.policy import Policy
from monitoring.rollout.records import Looked
from monitoring.rollout.sources import Prometheus
from tests.alerting import free_port
from tests.faults.fate import Fate
from tests.faults.lying import lying_proxy
from tests.kubernetes_api import kubernetes_api
from tests.rollout import World
from tests.servers import wait_until

MISSING = shutil.which("prometheus") is None
KINDS = ("refuse", "lie", "slow", "hang up", "cut", "short", "page")
PATIENCE_S = 1.0
POLICY = Policy(steps=(50,), min_minutes=0.0, min_requests=100)
MOST_STEPS = 40
JOBS = {"stable": 'job="stable"', "canary": 'job="canary"'}


@dataclass
class Scraped:
    """A Prometheus, and the pages of the servers that it scrapes."""

    url: str = ""
    pages: dict[str, str] = field(default_factory=dict)

    def source(self, url: str) -> Prometheus:
        return Prometheus(url=url, stable=JOBS["stable"], canary=JOBS["canary"])

    def show(self, servers: dict[str, Server]) -> None:
        """Show the servers' metrics, and wait until Prometheus has seen them."""
        for arm, server in servers.items():
            self.pages[f"/{arm}/metrics"] = page(server)

        def has_seen() -> bool:
            with suppress(ServiceError):
                told = self.source(self.url)
                found = {arm: list(told.read(arm).values()) for arm in servers}  # type: ignore[arg-type]
                return all(
                    [(one.digest, one.values.get("read")) for one in found[arm]]
                    == [(server.digest, server.values.get("read", 0.0))]
                    for arm, server in servers.items()
                )
            return False

        wait_until(has_seen, timeout_s=60)


def page(server: Server) -> str:
    """Return a server's counters as its metrics page has them."""
    values = server.values
    lines = [f'quillflow_model_info{{model_version="v",bundle_digest="{server.digest}"}} 1']
    lines += [f"process_start_time_seconds {server.start}"]
    for name, key in (
        ('quillflow_requests_total{model_version="v",outcome="read"}', "read"),
        ('quillflow_requests_total{model_version="v",outcome="failed"}', "failed"),
        ('quillflow_http_refusals_total{status="429"}', "shed"),
        ('quillflow_readings_total{model_version="v"}', "readings"),
        ('quillflow_empty_readings_total{model_version="v"}', "empty"),
        ('quillflow_line_verdicts_total{model_version="v",verdict="blank"}', "remarked"),
    ):
        lines.append(f"{name} {values.get(key, 0)}")
    ok = values.get("images", 0) - values.get("remarked", 0)
    lines.append(f'quillflow_line_verdicts_total{{model_version="v",verdict="ok"}} {ok}')
    sure = values.get("readings", 0) - values.get("doubtful", 0)
    for le, value in (("0.5", sure), ("+Inf", values.get("readings", 0))):
        lines.append(f'quillflow_reading_doubt_bucket{{model_version="v",le="{le}"}} {value}')
    for key, value in values.items():
        if key.startswith("within "):
            le = key.removeprefix("within ")
            lines.append(f'quillflow_request_seconds_bucket{{model_version="v",le="{le}"}} {value}')
    return "\n".join(lines) + "\n"


@contextmanager
def served(folder: Path) -> Iterator[Scraped]:
    """Run Prometheus, which looks at two pages four times a second, until the block ends."""
    scraped = Scraped()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = scraped.pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):  # Prometheus has given up
                self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    jobs = [
        {
            "job_name": arm,
            "metrics_path": f"/{arm}/metrics",
            "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}],
        }
        for arm in JOBS
    ]
    folder.mkdir(parents=True)
    config = {"global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"}, "scrape_configs": jobs}
    (folder / "prometheus.yaml").write_text(json.dumps(config))
    scraped.url = f"http://127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address={scraped.url.removeprefix('http://')}"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield scraped
        finally:
            process.terminate()
            process.wait(timeout=20)
            server.shutdown()
            server.server_close()


def play(scraped: Scraped, folder: Path, rng: random.Random, fault: str) -> tuple[Fate, list[str]]:
    """Roll out a bundle that is as good as the one before, or one that fails; return what is wrong then."""
    is_bad = rng.random() < 0.5
    fate = Fate(rng, fault, KINDS, within=8)
    before = sources.TIMEOUT_S
    sources.TIMEOUT_S = PATIENCE_S
    try:
        with (
            kubernetes_api() as api,
            lying_proxy(scraped.url, fate, slow_s=PATIENCE_S * 1.5) as url,
        ):
            canary = Traits(failures=0.3) if is_bad else Traits()
            world = World(api, folder / "state", canary=canary, seed=rng.randrange(1000))
            for server in (world.stable, world.canary):
                server.start = time.time()  # a life of its own in Prometheus' memory
            world.source = scraped.source(url)  # type: ignore[assignment]
            scraped.show({"stable": world.stable, "canary": world.canary})
            return fate, [*_told(world, scraped, fate, is_bad=is_bad), *fate.wrong]
    finally:
        sources.TIMEOUT_S = before


def _told(world: World, scraped: Scraped, fate: Fate, *, is_bad: bool) -> Iterator[str]:
    """Take steps until the rollout has ended, and tell what it came to."""
    world.do(lambda guard: guard.start(POLICY))
    for number in range(MOST_STEPS):
        fate.is_over = fate.is_over or number > MOST_STEPS // 2
        struck = sum(fate.struck.values())
        try:
            journal = world.do(lambda guard: guard.step())
        except QuillflowError as error:
            fate.errors.append(str(error))
            continue
        except Exception as error:
            yield f"{fate.fault} came through as {type(error).__name__}: {error}"
            return
        looked = [one.event for one in journal.records if isinstance(one.event, Looked)]
        if sum(fate.struck.values()) > struck and looked[-1].choice in {"promote", "roll_back"}:
            blind = looked[-1].samples
            if not all(blind.values()):
                yield f"{looked[-1].choice} was decided without seeing both: {looked[-1].reason}"
        if not journal.state.is_active:
            break
        world.settle()
        world.traffic(2500)
        scraped.show({"stable": world.stable, "canary": world.canary})
    results = [result for result, _ in journal.state.results.values()]
    if journal.state.is_active or len(results) != 1:
        yield f"it did not end: {journal.state.phase}, {world.said[-3:]}"
    elif is_bad and results != ["rolled_back"]:
        yield f"a bundle that fails was {results}: {world.said[-3:]}"
    elif not is_bad and results != ["promoted"]:
        yield f"a good bundle was {results}: {world.said[-3:]}"
