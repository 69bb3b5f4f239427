from pathlib import Path

import pytest

from htr.errors import SettingsError
from monitoring.governor.policy import Policy, policy_from, read_policy


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(
        'version = 1\npolicy = "retrain_at_once"\ncooldown_hours = 3\n'
        '[watch]\nhours = 0\n[alerts]\nMine = "degraded"\n'
    )
    policy = read_policy(file)
    assert (policy.policy, policy.cooldown_hours, policy.watch.hours) == ("retrain_at_once", 3.0, 0.0)
    assert policy.alerts == {"Mine": "degraded"}
    assert policy.min_lines == Policy().min_lines
    assert policy_from(policy.to_dict(), where="itself") == policy
    assert policy.digest != Policy().digest == read_policy(None).digest


def test_the_policy_in_the_docs_is_the_default(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[4] / "docs" / "retraining.md").read_text(encoding="utf-8")
    (tmp_path / "policy.toml").write_text(docs.split("```toml\n")[1].split("```")[0])
    assert read_policy(tmp_path / "policy.toml") == Policy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected version = 1, found None"),
        ("version = 2", "expected version = 1, found 2"),
        ("version = ", "not a TOML file"),
        ("version = 1\ncooldown = 3", "cooldown: not known; known are policy, min_lines"),
        ('version = 1\nmin_lines = "many"', "min_lines: expected a value like 128, found 'many'"),
        ("version = 1\nmin_lines = true", "min_lines: expected a value like 128"),
        ("version = 1\nmin_lines = 0", "min_lines: expected 1 or more, found 0"),
        ("version = 1\nmax_runs_day = 1.5", "max_runs_day: expected a value like 2"),
        ("version = 1\nbackoff = 0.5", "backoff: expected 1 or more"),
        ('version = 1\npolicy = "always"', "policy: expected one of labels_first, retrain_at_once"),
        ('version = 1\n[alerts]\nX = "loud"', "alerts.X: expected one of drift, degraded, found 'loud'"),
        ("version = 1\nwatch = 3", "watch: expected a table"),
        ("version = 1\n[watch]\nhour = 3", "watch.hour: not known"),
        ("version = 1\n[watch]\ndoubt = -0.1", "watch.doubt: expected 0 or more"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_file_and_field(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_policy(file)
    assert str(caught.value).startswith(f"{file}: {said}")


def test_a_policy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no policy can be read there"):
        read_policy(tmp_path / "none.toml")
