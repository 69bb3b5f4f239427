import os
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks.soak.findings import minutes, trends
from benchmarks.soak.judging import Bound, trend
from benchmarks.soak.traffic import Asked
from benchmarks.soak.watching import Every, Sample, look

RNG = np.random.default_rng(1)
MINUTES = np.arange(48.0)
NOISE = RNG.normal(0, 2.0, 48)
STEPS = np.repeat([0.0, 4.0, -3.0, 2.0], 12)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (500 + NOISE, "flat"),
        (500 + STEPS, "flat"),
        (500 + 100 * (MINUTES == 20), "flat"),
        (500 + NOISE + 0.2 * MINUTES, "flat"),
        (500 + NOISE + 1.5 * MINUTES, "grows"),
        (500 + 20 * NOISE + 1.0 * MINUTES, "cannot tell"),
        (500 - 2 * MINUTES, "flat"),
    ],
    ids=["noise", "steps", "one outlier", "within the bound", "a leak", "too noisy", "shrinks"],
)
def test_a_leak_is_told_from_noise_steps_and_outliers(values: np.ndarray, verdict: str) -> None:
    assert trend(MINUTES, values, Bound(share=0.05)).verdict == verdict


def test_one_more_open_file_every_ten_minutes_is_a_leak_and_one_at_all_is_none() -> None:
    bound = Bound(units=1.0)
    assert trend(MINUTES, 40 + MINUTES // 10, bound).verdict == "grows"
    assert trend(MINUTES, 40.0 + (MINUTES > 30), bound).verdict == "flat"
    assert trend([1.0, 2.0, 3.0], [40.0, 40.0, 40.0], bound).verdict == "cannot tell"


def test_the_interval_holds_the_true_growth_about_as_often_as_it_says() -> None:
    """95 of 100 times, where neighbouring minutes are alike by half"""
    held = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        noise = np.zeros(48)
        for at in range(1, 48):
            noise[at] = 0.5 * noise[at - 1] + rng.normal()
        found = trend(MINUTES, 100 + 0.1 * MINUTES + noise, Bound(), seed=seed)
        held += found.low <= 0.1 * 47 <= found.high
    assert held >= 0.8 * 25


def test_what_the_kernel_says_counts_children_and_open_files() -> None:
    code = "import subprocess, sys, time; f = [open('/dev/null') for _ in range(20)]; "
    code += "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(1, flush=True); "
    code += "p.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            found = look(process.pid, 1.0)
            assert found.processes == found.threads == 2
            assert found.files >= 23
            assert found.rss_mib > 5
        finally:
            os.killpg(process.pid, 9)


def test_an_error_of_what_is_done_now_and_then_fails_the_soak() -> None:
    def fail() -> None:
        raise OSError("away")

    with pytest.raises(OSError, match="away"), Every(0.01, fail, time.monotonic()):
        time.sleep(0.2)


def test_rows_are_made_of_whole_minutes_and_judged_after_the_warm_ones() -> None:
    asked = [Asked(at=at, status=200, seconds=0.01, request_id="", what="line") for at in np.arange(0, 1805, 0.5)]
    samples = {
        name: [
            Sample(at=at, rss_mib=100 + at / leak, files=9, threads=3, processor_s=at / 10, processes=1)
            for at in np.arange(1, 1800, 5.0)
        ]
        for name, leak in (("server", 30.0), ("governor", 1e9))
    }
    rows = minutes(asked, samples, [(at, 0.002) for at in np.arange(0, 1800, 2.0)], 60.0)
    assert [row.lines for row in rows] == [120] * 30
    assert rows[0].p50_ms == pytest.approx(10.0)
    assert rows[0].services["server"]["processor_ms"] == pytest.approx(50.0)
    found = trends(rows)
    assert {name for name, one in found.items() if one.verdict != "flat"} == {"server rss_mib"}
    assert found["p50"].median == pytest.approx(5.0)
