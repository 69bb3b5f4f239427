import json
import shutil
from pathlib import Path

import pytest

from htr.errors import DataError, SettingsError
from monitoring.__main__ import main
from monitoring.rollout.journal import FILE, Journal
from monitoring.rollout.policy import Policy, policy_from, read_policy
from monitoring.rollout.records import from_json, to_json
from tests.kubernetes_api import KubernetesApi, kubernetes_api
from tests.rollout import InventedPairs, Traits, World, place_release

GOLDEN = Path(__file__).parents[3] / "golden" / "rollout-1"


def write_golden(folder: Path) -> None:
    """Write the journal that the golden file holds: a canary that doubts too much, and is taken back."""
    with kubernetes_api() as api:
        world = World(api, folder, canary=Traits(doubt=0.4), pairs=InventedPairs())
        world.do(lambda guard: guard.start(Policy(min_requests=200)))
        world.run()


def test_the_golden_journal_is_read_and_written_back_as_it_is() -> None:
    lines = (GOLDEN / FILE).read_bytes().splitlines()
    assert [to_json(from_json(line)).encode() for line in lines] == lines
    journal = Journal(GOLDEN)
    journal.read()
    result, reason = journal.state.results["b" * 64]
    assert result == "rolled_back"
    assert "doubt" in reason


def test_the_story_of_the_golden_journal_is_still_told_alike(tmp_path: Path) -> None:
    write_golden(tmp_path)
    journal, golden = Journal(tmp_path), Journal(GOLDEN)
    journal.read()
    golden.read()
    kinds = [[(one.event.KIND, getattr(one.event, "choice", "")) for one in j.records] for j in (journal, golden)]
    assert kinds[0] == kinds[1]


def test_an_altered_journal_is_an_error_and_a_torn_end_is_not(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "state")
    file = tmp_path / "state" / FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    journal = Journal(tmp_path / "state")
    journal.read()
    assert journal.state.pending == "roll_back", "decided, and not yet known to be done"
    file.write_bytes(whole.replace(b'"choice": "advance"', b'"choice": "promote"', 1))
    with pytest.raises(DataError, match="altered"):
        Journal(tmp_path / "state").read()


def test_status_tells_people_and_programs_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollout", "status", "--state", str(GOLDEN)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "started bbbbbbbbbbbb-1" in told[0]
    assert "roll back: doubt: " in told[-2]
    assert "all traffic to quillflow" in told[-1]
    assert main(["rollout", "status", "--state", str(GOLDEN), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"]["b" * 64][0] == "rolled_back"


def test_a_step_without_a_rollout_says_so_and_with_begin_starts_one(
    api: KubernetesApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place_release(api, canary="")
    parts = ["--state", str(tmp_path / "state"), "--kubernetes", api.url, "--tracking-uri", ""]
    parts += ["--stable-url", "http://127.0.0.1:1", "--canary-url", "http://127.0.0.1:1"]
    assert main(["rollout", "step", *parts]) == 0
    assert capsys.readouterr().out == "no rollout\n"
    assert main(["rollout", "step", "--begin", *parts]) == 0, (
        "before the first deployment there is nothing to begin"
    )
    assert capsys.readouterr().out == "no rollout\n"
    place_release(api)
    assert main(["rollout", "step", "--begin", *parts]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("begun: bbbbbbbbbbbb-1")
    assert told[1].startswith("hold: http://127.0.0.1:1/metrics: no metrics")
    assert main(["rollout", "abort", *parts, "--reason", "enough"]) == 0
    assert main(["rollout", "step", "--begin", *parts]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("was aborted (enough)")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--stable-url", "http://x"], "both --stable-url and --canary-url"),
        (["--prometheus", "http://x", "--stable-log", "a"], "give --stable-log and --canary-log"),
        (["--prometheus", "http://x", "--probe", "a"], "--probe wants to know both servers"),
        (["--prometheus", "http://x", "--kubernetes", "ftp://x"], "expected the address of a Kubernetes API"),
        (["--prometheus", "http://x", "--kubernetes", ""], "this is no pod with a service account"),
        (["--prometheus", "http://x", "--policy", "nowhere.toml"], "no policy can be read there"),
    ],
)
def test_a_setting_that_makes_no_sense_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    kubernetes = [] if "--kubernetes" in options else ["--kubernetes", "http://127.0.0.1:1"]
    assert main(["rollout", "start", "--state", str(tmp_path), *kubernetes, *options]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1


def test_a_policy_file_is_checked_and_comes_back(tmp_path: Path) -> None:
    policy = Policy(steps=(1, 10), shadow=True)
    assert policy_from(policy.to_dict(), where="x") == policy
    (tmp_path / "policy.toml").write_text("version = 1\nsteps = [5, 50]\n[margins]\ndoubt = 0.1\n")
    assert read_policy(tmp_path / "policy.toml").margins.doubt == 0.1
    for text in (
        "steps = [50, 5]",
        "steps = []",
        "steps = [100]",
        "alpha = 1.5",
        "speed = 3",
        "margins = 3",
        "x =",
    ):
        (tmp_path / "policy.toml").write_text(f"version = 1\n{text}\n")
        with pytest.raises(SettingsError, match=r"policy\.toml"):
            read_policy(tmp_path / "policy.toml")
